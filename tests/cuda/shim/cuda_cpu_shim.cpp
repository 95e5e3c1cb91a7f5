// The machine behind cuda_cpu_shim.h: fibers, barriers, and a look at every access to memory.
#include "cuda_cpu_shim.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>

#include <algorithm>
#include <vector>

dim3 threadIdx, blockIdx, blockDim, gridDim;
extern "C" const shim::Entry shim_kernels[];
#define FROM_LINKER extern "C" __attribute__((visibility("hidden"))) char
FROM_LINKER __ehdr_start[], _end[];
FROM_LINKER __start_shim_shared[] __attribute__((weak));
FROM_LINKER __stop_shim_shared[] __attribute__((weak));

namespace {

constexpr int THREADS = 1024, WARP = 32;
constexpr size_t STACK = 128 << 10, ARENA = size_t(1) << 30, PAGE = 4096;

enum State { READY, AT_BLOCK, AT_WARP, DONE };

struct Fiber {
    ucontext_t first;
    jmp_buf at;
    char* stack = nullptr;
    bool begun = false;
    State state = DONE;
    int line = 0;
};

struct Warp {
    uint64_t given[2][WARP];
    unsigned mask = 0, here = 0, orders = 0;
    int round = 0, line = 0;
};

// Who last touched a cell: thread + 1, and how many barriers it had passed.
struct Touch {
    int block = 0, thread = 0;
    unsigned barriers = 0, orders = 0;
};

struct Cell {
    Touch write, read, other_read;
    bool atomic = false;
};

struct Buffer {
    const char* name;
    char *begin, *end;
    int item;
    bool constant, shared;
    std::vector<Cell> cells;
};

Fiber fibers[THREADS];
Warp warps[THREADS / WARP];
std::vector<Buffer> buffers;
std::vector<int> owner(ARENA / PAGE, -1);
char *arena = nullptr, *free_page = nullptr, *dynamic = nullptr;
jmp_buf scheduler, abandoned;
void (*kernel)(void**) = nullptr;
void** arguments = nullptr;
int now = 0, block = 0, threads = 0;
unsigned barriers = 0;
bool running = false;
char fault[400];

[[noreturn]] void fail(const char* format, ...) {
    va_list rest;
    va_start(rest, format);
    int n = vsnprintf(fault, sizeof fault, format, rest);
    va_end(rest);
    snprintf(fault + n, sizeof fault - n, "; block %d, thread %d", block, now);
    _longjmp(abandoned, 1);
}

void yield() {
    if (!_setjmp(fibers[now].at)) _longjmp(scheduler, 1);
}

void life() {
    for (;;) {
        kernel(arguments);
        fibers[now].state = DONE;
        yield();
    }
}

void enter(int thread) {
    Fiber& fiber = fibers[thread];
    now = thread;
    threadIdx.x = thread;
    if (_setjmp(scheduler)) return;
    if (fiber.begun) _longjmp(fiber.at, 1);
    fiber.begun = true;
    if (!fiber.stack)
        fiber.stack = static_cast<char*>(mmap(nullptr, STACK, PROT_READ | PROT_WRITE,
                                              MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0));
    getcontext(&fiber.first);
    fiber.first.uc_stack.ss_sp = fiber.stack;
    fiber.first.uc_stack.ss_size = STACK;
    fiber.first.uc_link = nullptr;
    makecontext(&fiber.first, life, 0);
    setcontext(&fiber.first);
}

// ---- memory

bool ordered(const Touch& before) {
    if (before.block != block) return false;
    const int thread = before.thread - 1;
    if (thread == now || before.barriers < barriers) return true;
    return thread / WARP == now / WARP && before.orders < warps[now / WARP].orders;
}

void conflict(const Buffer& b, size_t place, const char* what, const Touch& before) {
    fail("race on %s[%zu]: %s, and block %d, thread %d was there with no barrier since", b.name,
         place, what, before.block, before.thread - 1);
}

void note(Buffer& b, size_t place, bool write, bool atomic) {
    if (b.constant) return;
    Cell& cell = b.cells[place];
    const Touch me{block, now + 1, barriers, warps[now / WARP].orders};
    if (b.shared && !write && !atomic && !cell.write.thread)
        fail("%s[%zu] is read before it is written", b.name, place);
    if (cell.write.thread && !(atomic && cell.atomic) && !ordered(cell.write))
        conflict(b, place, write ? "written twice" : "read after a write", cell.write);
    if (write) {
        for (const Touch& read : {cell.read, cell.other_read})
            if (read.thread && !ordered(read)) conflict(b, place, "written after a read", read);
        cell = Cell{me, {}, {}, atomic};
    } else if (!cell.read.thread || cell.read.thread == me.thread || ordered(cell.read)) {
        cell.read = me;
    } else if (!cell.other_read.thread || cell.other_read.thread / WARP == cell.read.thread / WARP) {
        cell.other_read = me;
    }
}

void access(void* place, size_t size, bool write, bool atomic = false) {
    if (!running) return;
    char* p = static_cast<char*>(place);
    int which = -1;
    if (p >= arena && p < arena + ARENA) {
        which = owner[(p - arena) / PAGE];
    } else if (p >= __start_shim_shared && p < __stop_shim_shared) {
        which = 0;
    } else {
        const char* stack = fibers[now].stack;
        if ((p >= stack && p < stack + STACK) || (p >= __ehdr_start && p < _end)) return;
    }
    if (which < 0) fail("%s of no known memory", write ? "write" : "read");
    Buffer& b = buffers[which];
    const long first = (p - b.begin) / b.item, count = (b.end - b.begin) / b.item;
    if (p < b.begin || p + size > b.end)
        fail("%s outside %s: [%ld] of %ld", write ? "write" : "read", b.name, first, count);
    for (size_t k = 0; k < size; k += b.item) note(b, first + k / b.item, write, atomic);
}

Buffer& reserve(const char* name, size_t bytes, int item) {
    const size_t pages = (bytes + PAGE - 1) / PAGE + 2;  // the first and the last hold no data
    if (free_page + pages * PAGE > arena + ARENA) fail("more memory than the shim has");
    for (size_t k = 0; k < pages; ++k) owner[(free_page - arena) / PAGE + k] = int(buffers.size());
    char* begin = free_page + PAGE;
    buffers.push_back({name, begin, begin + bytes, item, false, false, {}});
    free_page += pages * PAGE;
    return buffers.back();
}

void forget_shared() {
    for (Buffer& b : buffers) {
        if (!b.shared) continue;
        memset(b.begin, 0xff, b.end - b.begin);
        b.cells.assign((b.end - b.begin) / b.item + 1, Cell{});
    }
}

// ---- one block

void release_block() {
    for (int k = 1; k < threads; ++k)
        if (fibers[k].line != fibers[0].line)
            fail("divergent __syncthreads: lines %d and %d", fibers[0].line, fibers[k].line);
    for (int k = 0; k < threads; ++k) fibers[k].state = READY;
    ++barriers;
}

void run_block(const std::vector<int>& turn, bool interleaved) {
    forget_shared();
    for (Warp& w : warps) w = Warp{};
    for (int k = 0; k < threads; ++k) fibers[k].state = READY;
    barriers = 1;
    for (;;) {
        bool moved = false;
        for (int from = 0; from < threads; from += WARP) {
            bool again = true;
            while (again) {
                again = false;
                for (int k = from; k < std::min(from + WARP, threads); ++k)
                    if (fibers[turn[k]].state == READY) enter(turn[k]), again = moved = true;
                if (interleaved) break;
            }
        }
        int count[4] = {};
        for (int k = 0; k < threads; ++k) ++count[fibers[k].state];
        if (count[DONE] == threads) return;
        if (count[AT_BLOCK] == threads) release_block();
        else if (!moved)
            fail("divergent barrier: %d threads wait at __syncthreads, %d in a warp, %d have left",
                 count[AT_BLOCK], count[AT_WARP], count[DONE]);
    }
}

// Order 0: forward; 1: backward; 2: warps and lanes shuffled, warps interleaved.
std::vector<int> turns(int order) {
    std::vector<int> warp_of, turn;
    for (int w = 0; w * WARP < threads; ++w) warp_of.push_back(w);
    unsigned seed = 12345;
    auto shuffle = [&seed](std::vector<int>& v) {
        for (size_t k = v.size(); k > 1; --k)
            std::swap(v[k - 1], v[(seed = seed * 1664525u + 1013904223u) / 65536 % k]);
    };
    const bool odd = threads % WARP;  // keep warps in their slots of 32
    if (order == 1 && !odd) std::reverse(warp_of.begin(), warp_of.end());
    if (order == 2 && !odd) shuffle(warp_of);
    for (int w : warp_of) {
        std::vector<int> lanes;
        for (int k = w * WARP; k < std::min((w + 1) * WARP, threads); ++k) lanes.push_back(k);
        if (order == 1) std::reverse(lanes.begin(), lanes.end());
        if (order == 2) shuffle(lanes);
        turn.insert(turn.end(), lanes.begin(), lanes.end());
    }
    return turn;
}

}  // namespace

void* shim::dynamic_shared() { return dynamic; }
void shim::atomic_access(void* place, int size) { access(place, size, true, true); }
void shim::refuse(const char* words, int line) { fail("%s: line %d", words, line); }

void shim::block_barrier(int line) {
    fibers[now].state = AT_BLOCK;
    fibers[now].line = line;
    yield();
}

const uint64_t* shim::meet(unsigned mask, uint64_t value, int line, bool orders_memory) {
    Warp& w = warps[now / WARP];
    const int lane = now % WARP, round = w.round;
    if (!(mask >> lane & 1)) fail("a lane outside its own mask: line %d", line);
    if (w.here && (w.mask != mask || w.line != line))
        fail("divergent warp: lines %d and %d", w.line, line);
    w.mask = mask, w.line = line;
    w.given[round & 1][lane] = value;
    w.here |= 1u << lane;
    fibers[now].state = AT_WARP;
    if (w.here == mask) {
        for (int k = 0; k < WARP; ++k)
            if (mask >> k & 1) fibers[now - lane + k].state = READY;
        w.here = 0;
        w.orders += orders_memory;
        ++w.round;
    } else {
        yield();
    }
    return warps[now / WARP].given[round & 1];
}

extern "C" {

struct ShimArgument {
    const char* name;
    void* data;
    size_t bytes;
    int item, constant;  // item 0: a number, `data` points to it
};

// Copies arrays in, runs every block, copies arrays out; the reason why not, or nullptr.
const char* shim_launch(const char* name, const unsigned* dims, int shared_bytes, int order,
                        const ShimArgument* args, int count) {
    const shim::Entry* entry = shim_kernels;
    while (entry->name && strcmp(entry->name, name)) ++entry;
    if (!entry->name) return "no such kernel";
    if (!arena)
        arena = static_cast<char*>(mmap(nullptr, ARENA, PROT_READ | PROT_WRITE,
                                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0));
    std::fill(owner.begin(), owner.begin() + (free_page ? (free_page - arena) / PAGE : 0), -1);
    gridDim = {dims[0], dims[1], dims[2]}, blockDim = {dims[3], dims[4], dims[5]};
    threads = int(dims[3]);
    if (dims[4] != 1 || dims[5] != 1 || threads < 1 || threads > THREADS)
        return "a block must be 1 to 1024 threads in one dimension";
    buffers.clear();
    free_page = arena;
    static void* values[64];
    static char* places[64];
    const size_t fixed = __stop_shim_shared - __start_shim_shared;
    buffers.push_back({"static shared", __start_shim_shared, __stop_shim_shared, 4, false, true, {}});
    if (_setjmp(abandoned)) {
        running = false;
        for (Fiber& fiber : fibers) fiber.begun = false;
        return fault;
    }
    if (fixed + shared_bytes > 48 << 10) fail("%zu bytes of shared memory", fixed + shared_bytes);
    Buffer& d = reserve("dynamic shared", shared_bytes, 8);
    dynamic = d.begin, d.shared = true;
    for (int k = 0; k < count; ++k) {
        values[k] = args[k].data;
        if (!args[k].item) continue;
        Buffer& b = reserve(args[k].name, args[k].bytes, args[k].item);
        b.constant = args[k].constant;
        if (!b.constant) b.cells.resize(args[k].bytes / args[k].item);
        memcpy(b.begin, args[k].data, args[k].bytes);
        places[k] = b.begin;
        values[k] = &places[k];
    }
    kernel = entry->call, arguments = values;
    running = true;
    const std::vector<int> turn = turns(order);
    const unsigned blocks = gridDim.x * gridDim.y * gridDim.z;
    for (unsigned k = 0; k < blocks; ++k) {
        block = int(order == 1 ? blocks - 1 - k : k);
        blockIdx = {block % gridDim.x, block / gridDim.x % gridDim.y, block / gridDim.x / gridDim.y};
        threadIdx = {0, 0, 0};
        run_block(turn, order == 2);
    }
    running = false;
    for (int k = 0; k < count; ++k)
        if (args[k].item && !args[k].constant) memcpy(args[k].data, places[k], args[k].bytes);
    return nullptr;
}

#define SHIM_ACCESS(size)                                                        \
    void __tsan_read##size(void* p) { access(p, size, false); }                  \
    void __tsan_write##size(void* p) { access(p, size, true); }                  \
    void __tsan_unaligned_read##size(void* p) { access(p, size, false); }        \
    void __tsan_unaligned_write##size(void* p) { access(p, size, true); }
SHIM_ACCESS(1)
SHIM_ACCESS(2)
SHIM_ACCESS(4)
SHIM_ACCESS(8)
SHIM_ACCESS(16)
void __tsan_read_range(void* p, size_t size) { access(p, size, false); }
void __tsan_write_range(void* p, size_t size) { access(p, size, true); }
void __tsan_func_entry(void*) {}
void __tsan_func_exit() {}
void __tsan_init() {}
}
