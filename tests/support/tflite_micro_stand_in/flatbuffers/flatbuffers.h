/* A stand-in for tests: as much of FlatBuffers as the adapter names. */
#ifndef STAND_IN_FLATBUFFERS_H
#define STAND_IN_FLATBUFFERS_H

#include <stddef.h>
#include <stdint.h>

namespace flatbuffers
{

class Verifier
{
  public:
    Verifier(const uint8_t *data, size_t bytes) : data_(data), bytes_(bytes)
    {
    }
    const uint8_t *data() const
    {
        return data_;
    }
    size_t bytes() const
    {
        return bytes_;
    }

  private:
    const uint8_t *data_;
    size_t bytes_;
};

} // namespace flatbuffers

#endif
