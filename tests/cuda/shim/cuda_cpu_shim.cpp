// The machine behind cuda_cpu_shim.h: fibers, barriers, launches.
#include "cuda_cpu_memory.h"

#include <sys/mman.h>
#include <ucontext.h>

#include <algorithm>

dim3 threadIdx, blockIdx, blockDim, gridDim;
extern "C" const shim::Entry shim_kernels[];
namespace {

constexpr int THREADS = 1024;

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
    unsigned mask = 0, here = 0;
    int round = 0, line = 0;
};

Fiber fibers[THREADS];
Warp warps[THREADS / WARP];
jmp_buf scheduler;
char* dynamic = nullptr;
int threads = 0;
void (*kernel)(void**) = nullptr;
void** arguments = nullptr;

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
    stack = fiber.stack;
    if (_setjmp(scheduler)) return;
    if (fiber.begun) _longjmp(fiber.at, 1);
    fiber.begun = true;
    if (!fiber.stack)
        fiber.stack = static_cast<char*>(mmap(nullptr, STACK, PROT_READ | PROT_WRITE,
                                              MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0));
    stack = fiber.stack;
    getcontext(&fiber.first);
    fiber.first.uc_stack.ss_sp = fiber.stack;
    fiber.first.uc_stack.ss_size = STACK;
    fiber.first.uc_link = nullptr;
    makecontext(&fiber.first, life, 0);
    setcontext(&fiber.first);
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
    for (unsigned& n : warp_barriers) n = 0;
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
        warp_barriers[now / WARP] += orders_memory;
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

}
