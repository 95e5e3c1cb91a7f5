// CUDA as far as Lockstep's kernels use it, for g++: threads are fibers that take turns.
//
// Included before a .cu file. That file is compiled with -fsanitize=thread, for the calls the
// compiler then puts before every access to memory; cuda_cpu_shim.cpp answers them (no sanitizer
// is linked): bounds, races between barriers, shared memory read before it is written.
#pragma once
#include <math.h>
#include <stdint.h>

struct dim3 {
    unsigned x = 1, y = 1, z = 1;
};
extern dim3 threadIdx, blockIdx, blockDim, gridDim;

#define __global__ __attribute__((noinline))
#define __device__
#define __forceinline__ inline
#define __launch_bounds__(...)
#define __shared__ static __attribute__((section("shim_shared")))
#define DYNAMIC_SHARED(type, name) type* name = static_cast<type*>(shim::dynamic_shared())
#define SHIM_PLAIN __attribute__((no_sanitize("thread"), noinline))

namespace shim {

struct Entry {
    const char* name;
    void (*call)(void**);
};

void* dynamic_shared();
void block_barrier(int line);
// Waits for all lanes of `mask`; returns what each of the 32 gave.
const uint64_t* meet(unsigned mask, uint64_t value, int line, bool orders_memory);
void refuse(const char* words, int line);
void atomic_access(void* place, int size);

template <class T>
SHIM_PLAIN uint64_t bits(T value) {
    uint64_t raw = 0;
    __builtin_memcpy(&raw, &value, sizeof value);
    return raw;
}

template <class T>
SHIM_PLAIN T from_lane(unsigned mask, T value, int lane, int line) {
    const int own = threadIdx.x & 31;  // blocks are one-dimensional: `launch` refuses others
    const uint64_t* all = meet(mask, bits(value), line, false);
    if (lane < 0 || lane > 31) lane = own;
    if (!(mask >> lane & 1)) refuse("a shuffle reads a lane that takes no part", line);
    T found;
    __builtin_memcpy(&found, &all[lane], sizeof found);
    return found;
}

SHIM_PLAIN inline unsigned ballot(unsigned mask, bool yes, int line) {
    const uint64_t* all = meet(mask, yes, line, false);
    unsigned found = 0;
    for (int lane = 0; lane < 32; ++lane)
        if (mask >> lane & 1 && all[lane]) found |= 1u << lane;
    return found;
}

template <class T, class Change>
SHIM_PLAIN T atomic(T* place, Change change) {
    atomic_access(place, sizeof(T));
    const T before = *place;
    *place = change(before);
    return before;
}

template <int... I>
struct Numbers {};
template <class... A, int... I>
SHIM_PLAIN void apply(void (*kernel)(A...), void** args, Numbers<I...>) {
    kernel(*static_cast<A*>(args[I])...);
}
// Arguments as cudaLaunchKernel takes them: a pointer to each.
template <class... A>
SHIM_PLAIN void apply(void (*kernel)(A...), void** args) {
    apply(kernel, args, Numbers<__integer_pack(int(sizeof...(A)))...>());
}

}  // namespace shim

#define __syncthreads() shim::block_barrier(__LINE__)
#define __syncwarp(...) (void)shim::meet(0xffffffffu, 0, __LINE__, true)
#define __shfl_sync(mask, value, lane) shim::from_lane(mask, value, lane, __LINE__)
#define __shfl_xor_sync(mask, value, bit) \
    shim::from_lane(mask, value, int(threadIdx.x & 31) ^ (bit), __LINE__)
#define __shfl_down_sync(mask, value, by) \
    shim::from_lane(mask, value, int(threadIdx.x & 31) + int(by), __LINE__)
#define __shfl_up_sync(mask, value, by) \
    shim::from_lane(mask, value, int(threadIdx.x & 31) - int(by), __LINE__)
#define __ballot_sync(mask, yes) shim::ballot(mask, yes, __LINE__)
#define __any_sync(mask, yes) (shim::ballot(mask, yes, __LINE__) != 0)
#define __popc(word) __builtin_popcount(word)

// Whole numbers only: the order in which floats arrive would decide the last bit of a sum.
template <class T>
SHIM_PLAIN T atomicAdd(T* place, T value) {
    static_assert(T(0.5) == 0, "no atomics on floats");
    return shim::atomic(place, [value](T x) { return T(x + value); });
}
template <class T>
SHIM_PLAIN T atomicMax(T* place, T value) {
    static_assert(T(0.5) == 0, "no atomics on floats");
    return shim::atomic(place, [value](T x) { return x < value ? value : x; });
}
template <class T>
SHIM_PLAIN T atomicMin(T* place, T value) {
    static_assert(T(0.5) == 0, "no atomics on floats");
    return shim::atomic(place, [value](T x) { return value < x ? value : x; });
}

inline long long __double_as_longlong(double x) { return (long long)shim::bits(x); }
SHIM_PLAIN inline double __longlong_as_double(long long raw) {
    double x;
    __builtin_memcpy(&x, &raw, sizeof x);
    return x;
}
inline double shim_turned(double (*function)(double), double x) {
    return function(M_PI * (x - 2 * floor(x / 2)));
}
#define cospi(x) shim_turned(cos, x)
#define sinpi(x) shim_turned(sin, x)
template <class T>
inline T min(T a, T b) { return b < a ? b : a; }
template <class T>
inline T max(T a, T b) { return a < b ? b : a; }
