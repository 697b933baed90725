/* A stand-in for tests. Its "models" are texts, one command a line: what the library is to do with them (stand_in.cc).
 */
#ifndef STAND_IN_SCHEMA_H
#define STAND_IN_SCHEMA_H

#include "flatbuffers/flatbuffers.h"

namespace tflite
{

enum BuiltinOperator { BuiltinOperator_ADD = 0, BuiltinOperator_CUSTOM = 32, BuiltinOperator_CUMSUM = 128 };

struct String {
    const char *text;
    const char *c_str() const
    {
        return text;
    }
};

class OperatorCode
{
  public:
    OperatorCode(BuiltinOperator code, const char *custom) : code_(code), custom_{custom}
    {
    }
    const String *custom_code() const
    {
        return custom_.text ? &custom_ : nullptr;
    }
    BuiltinOperator code_;

  private:
    String custom_;
};

class Operator
{
  public:
    explicit Operator(uint32_t index) : index_(index)
    {
    }
    uint32_t opcode_index() const
    {
        return index_;
    }

  private:
    uint32_t index_;
};

template <class T>
class List
{
  public:
    List(const T *const *items, uint32_t count) : items_(items), count_(count)
    {
    }
    uint32_t size() const
    {
        return count_;
    }
    const T *Get(uint32_t index) const
    {
        return items_[index];
    }

  private:
    const T *const *items_;
    uint32_t count_;
};

class SubGraph
{
  public:
    const List<Operator> *operators() const;
    const void *inputs() const;
    const void *outputs() const;
};

class Model
{
  public:
    uint32_t version() const;
    const List<OperatorCode> *operator_codes() const;
    const List<SubGraph> *subgraphs() const;
};

bool VerifyModelBuffer(flatbuffers::Verifier &verifier);
const Model *GetModel(const void *data);
const char *EnumNameBuiltinOperator(BuiltinOperator code);

} // namespace tflite

#endif
