// A look at every access a kernel makes: bounds, races between barriers, values never written.
//
// Two accesses of a cell, one of them a write, are ordered if one thread makes both, or a barrier of
// their block (or of their warp) lies between them. Blocks of a launch are never ordered.
#pragma once
#include "cuda_cpu_shim.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <vector>

#define FROM_LINKER extern "C" __attribute__((visibility("hidden"))) char
FROM_LINKER __ehdr_start[], _end[];
FROM_LINKER __start_shim_shared[] __attribute__((weak));
FROM_LINKER __stop_shim_shared[] __attribute__((weak));

namespace {

constexpr int WARP = 32, WARPS = 32;
constexpr size_t STACK = 128 << 10, ARENA = size_t(1) << 30, PAGE = 4096;

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

std::vector<Buffer> buffers;
std::vector<int> owner(ARENA / PAGE, -1);
char *arena = nullptr, *free_page = nullptr, *stack = nullptr;
unsigned barriers = 0, warp_barriers[WARPS];
int now = 0, block = 0;  // the thread whose turn it is
bool running = false;
char fault[400];
jmp_buf abandoned;

[[noreturn]] void fail(const char* format, ...) {
    va_list rest;
    va_start(rest, format);
    int n = vsnprintf(fault, sizeof fault, format, rest);
    va_end(rest);
    snprintf(fault + n, sizeof fault - n, "; block %d, thread %d", block, now);
    _longjmp(abandoned, 1);
}

bool ordered(const Touch& before) {
    if (before.block != block) return false;
    const int thread = before.thread - 1;
    if (thread == now || before.barriers < barriers) return true;
    return thread / WARP == now / WARP && before.orders < warp_barriers[now / WARP];
}

void conflict(const Buffer& b, size_t place, const char* what, const Touch& before) {
    fail("race on %s[%zu]: %s, and block %d, thread %d was there with no barrier since", b.name,
         place, what, before.block, before.thread - 1);
}

void note(Buffer& b, size_t place, bool write, bool atomic) {
    if (b.constant) return;
    Cell& cell = b.cells[place];
    const Touch me{block, now + 1, barriers, warp_barriers[now / WARP]};
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

}  // namespace

extern "C" {
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
