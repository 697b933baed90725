/* A stand-in for TFLite Micro that behaves, and misbehaves, as its "model" says: text that begins with "TFL3", then
 * lines of
 *
 *   schema N           version of the schema
 *   op NAME            a node: ADD, CUMSUM, or another name for a custom op
 *   load:WHAT, run:WHAT, reset:WHAT what goes wrong then: arena, kernel, abort, assert, halted, silent
 *   bias N             outputs are inputs + the number of live interpreters - 1 + a number that a constructor made 1 -
 * 1 + N
 *   remember           adds the inferences since the start or the last reset, too
 *
 * One input and one output of 8 bytes, which lie at the same place, as TFLite Micro's may.
 */
#include <stdlib.h>
#include <string.h>

#include "tensorflow/lite/micro/debug_log.h"
#include "tensorflow/lite/micro/micro_interpreter.h"
#include "tensorflow/lite/schema/schema_utils.h"

extern "C" [[noreturn]] void __assert_func(const char *file, int line, const char *function, const char *expression);

namespace
{

constexpr uint32_t kNodes = 4;
constexpr size_t kBytes = 8;

const char *commands;
int live;

struct Constructed {
    Constructed() : value(static_cast<int>(strlen("x")))
    {
        asm volatile("" : "+r"(value));
    }
    int value;
};
Constructed constructed;

void print(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    DebugLog(format, arguments);
    va_end(arguments);
}

const char *find(const char *words)
{
    const char *const found = strstr(commands, words);
    return found ? found + strlen(words) : nullptr;
}

bool is_line(const char *at, const char *word)
{
    const size_t count = strlen(word);
    return strncmp(at, word, count) == 0 && (at[count] == '\n' || at[count] == '\0');
}

char custom_name[24];

/* The nodes, each with a code of its own. */
struct Graph {
    uint32_t count = 0;
    tflite::OperatorCode codes[kNodes] = {{tflite::BuiltinOperator_ADD, nullptr},
                                          {tflite::BuiltinOperator_ADD, nullptr},
                                          {tflite::BuiltinOperator_ADD, nullptr},
                                          {tflite::BuiltinOperator_ADD, nullptr}};
    tflite::Operator nodes[kNodes] = {tflite::Operator(0), tflite::Operator(1), tflite::Operator(2),
                                      tflite::Operator(3)};
    const tflite::OperatorCode *code_refs[kNodes];
    const tflite::Operator *node_refs[kNodes];
};
Graph graph;
tflite::SubGraph subgraph;
const tflite::SubGraph *subgraph_refs[1] = {&subgraph};
tflite::List<tflite::OperatorCode> code_list(nullptr, 0);
tflite::List<tflite::Operator> node_list(nullptr, 0);
tflite::List<tflite::SubGraph> subgraph_list(nullptr, 0);
tflite::Model model;

void parse()
{
    graph = Graph();
    for (const char *at = strstr(commands, "op "); at && graph.count < kNodes; at = strstr(at + 1, "\nop ")) {
        const char *const name = at + (*at == '\n' ? 4 : 3);
        tflite::BuiltinOperator code = tflite::BuiltinOperator_CUSTOM;
        if (is_line(name, "ADD"))
            code = tflite::BuiltinOperator_ADD;
        if (is_line(name, "CUMSUM"))
            code = tflite::BuiltinOperator_CUMSUM;
        const size_t length = strcspn(name, "\n");
        if (code == tflite::BuiltinOperator_CUSTOM && length < sizeof(custom_name)) {
            memcpy(custom_name, name, length);
            custom_name[length] = '\0';
        }
        graph.codes[graph.count] =
            tflite::OperatorCode(code, code == tflite::BuiltinOperator_CUSTOM ? custom_name : nullptr);
        ++graph.count;
    }
    for (uint32_t i = 0; i < kNodes; ++i) {
        graph.code_refs[i] = &graph.codes[i];
        graph.node_refs[i] = &graph.nodes[i];
    }
    code_list = tflite::List<tflite::OperatorCode>(graph.code_refs, graph.count);
    node_list = tflite::List<tflite::Operator>(graph.node_refs, graph.count);
    subgraph_list = tflite::List<tflite::SubGraph>(subgraph_refs, find("no graph") ? 0 : 1);
}

} // namespace

namespace tflite
{

bool VerifyModelBuffer(flatbuffers::Verifier &verifier)
{
    /* The text has to end inside the model. */
    if (verifier.bytes() < 5 || verifier.data()[verifier.bytes() - 1] != '\0')
        return false;
    if (memcmp(verifier.data(), "TFL3", 4) != 0)
        return false;
    commands = reinterpret_cast<const char *>(verifier.data());
    parse();
    return true;
}

const Model *GetModel(const void *)
{
    return &model;
}

uint32_t Model::version() const
{
    const char *const said = find("schema ");
    return said ? static_cast<uint32_t>(atoi(said)) : 3;
}

const List<OperatorCode> *Model::operator_codes() const
{
    return &code_list;
}

const List<SubGraph> *Model::subgraphs() const
{
    return &subgraph_list;
}

const List<Operator> *SubGraph::operators() const
{
    return &node_list;
}

const void *SubGraph::inputs() const
{
    return this;
}

const void *SubGraph::outputs() const
{
    return this;
}

BuiltinOperator GetBuiltinCode(const OperatorCode *code)
{
    return code->code_;
}

const char *EnumNameBuiltinOperator(BuiltinOperator code)
{
    return code == BuiltinOperator_ADD ? "ADD" : "CUMSUM";
}

MicroInterpreter::MicroInterpreter(const Model *, const MicroOpResolver &, uint8_t *arena, size_t arena_bytes)
    : commands_(commands), arena_(arena), arena_bytes_(arena_bytes)
{
    input_.data.data = output_.data.data = arena_;
    input_.bytes = output_.bytes = kBytes;
}

MicroInterpreter::~MicroInterpreter()
{
    --live;
}

TfLiteStatus MicroInterpreter::obey(const char *moment)
{
    commands = commands_;
    const char *const what = find(moment);
    if (!what)
        return kTfLiteOk;
    if (is_line(what, "arena"))
        print("Failed to resize buffer. Requested: %u, available %u, missing: %u", 5000u, 64u, 4936u);
    if (is_line(what, "kernel")) {
        print("Type %s (%d) not supported, scale %f.\n", "INT64", -4, 0.25);
        print("\r\n");
        print("Node %s (number %df) failed to prepare with status %d", "CUMSUM", 17, 1);
    }
    if (is_line(what, "abort"))
        abort();
    if (is_line(what, "assert"))
        __assert_func("some/where/kernel.cc", 12, "eval", "a == b");
    if (is_line(what, "halted")) {
        print("HALTED");
        for (;;) {
        }
    }
    return kTfLiteError;
}

TfLiteStatus MicroInterpreter::AllocateTensors()
{
    const TfLiteStatus status = obey("load:");
    if (status == kTfLiteOk)
        ++live;
    return status;
}

TfLiteStatus MicroInterpreter::Invoke()
{
    const char *const bias = find("bias ");
    const int added =
        live - 1 + constructed.value - 1 + (bias ? atoi(bias) : 0) + (find("remember") ? remembered_++ : 0);
    for (size_t i = 0; i < kBytes; ++i)
        arena_[i] = static_cast<uint8_t>(arena_[i] + added);
    return obey("run:");
}

TfLiteStatus MicroInterpreter::Reset()
{
    remembered_ = 0;
    return obey("reset:");
}

} // namespace tflite
