// SPDX-License-Identifier: Apache-2.0
//
// A TCG plugin of QEMU (7.2, docs/devel/tcg-plugins.rst) that counts what a guest executes: for
// each translation block how often it ran, from one dump to the next. A line written to the FIFO
// <out>.cmd makes it write <out>.<line>, best a FIFO too, a block a line: address, instructions in
// it, executions.
//
// Counting is inline and unlocked: right for one processor, which is all that a profile uses.
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// Debian packages no qemu-plugin.h; this is what of it is used here.
typedef uint64_t qemu_plugin_id_t;
struct qemu_plugin_tb;
typedef void (*qemu_plugin_vcpu_tb_trans_cb_t)(qemu_plugin_id_t id, struct qemu_plugin_tb* tb);
void qemu_plugin_register_vcpu_tb_trans_cb(qemu_plugin_id_t id, qemu_plugin_vcpu_tb_trans_cb_t cb);
enum { kInlineAddU64 };
void qemu_plugin_register_vcpu_tb_exec_inline(struct qemu_plugin_tb* tb, int op, void* at,
                                              uint64_t immediate);
size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb* tb);
uint64_t qemu_plugin_tb_vaddr(const struct qemu_plugin_tb* tb);

#define EXPORTED __attribute__((visibility("default")))
EXPORTED int qemu_plugin_version = 1;

struct Block {
  struct Block* next;
  uint64_t address;
  uint64_t instructions;
  uint64_t executions;
};

// A block that is translated anew is a new entry; nothing is ever freed.
static struct Block* blocks;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static char out[256];

static void OnTranslation(qemu_plugin_id_t id, struct qemu_plugin_tb* tb) {
  (void)id;
  struct Block* block = calloc(1, sizeof(*block));
  if (block == NULL) abort();
  block->address = qemu_plugin_tb_vaddr(tb);
  block->instructions = qemu_plugin_tb_n_insns(tb);
  pthread_mutex_lock(&lock);
  block->next = blocks;
  blocks = block;
  pthread_mutex_unlock(&lock);
  qemu_plugin_register_vcpu_tb_exec_inline(tb, kInlineAddU64, &block->executions, 1);
}

static void Dump(const char* name) {
  char path[600];
  snprintf(path, sizeof(path), "%s.%s", out, name);
  FILE* file = fopen(path, "w");
  if (file == NULL) abort();
  pthread_mutex_lock(&lock);
  for (struct Block* block = blocks; block != NULL; block = block->next) {
    if (block->executions == 0) continue;
    fprintf(file, "%016lx %lu %lu\n", block->address, block->instructions, block->executions);
    block->executions = 0;
  }
  pthread_mutex_unlock(&lock);
  fclose(file);
}

static void* FollowCommands(void* unused) {
  char path[300];
  snprintf(path, sizeof(path), "%s.cmd", out);
  for (;;) {
    FILE* commands = fopen(path, "r");
    if (commands == NULL) return unused;
    char line[200];
    while (fgets(line, sizeof(line), commands) != NULL) {
      line[strcspn(line, "\n")] = '\0';
      Dump(line);
    }
    fclose(commands);
  }
}

// The argument is out=PATH.
EXPORTED int qemu_plugin_install(qemu_plugin_id_t id, const void* info, int argc, char** argv) {
  (void)info;
  if (argc != 1 || strncmp(argv[0], "out=", 4) != 0) return -1;
  snprintf(out, sizeof(out), "%s", argv[0] + 4);
  pthread_t thread;
  if (pthread_create(&thread, NULL, FollowCommands, NULL) != 0) return -1;
  qemu_plugin_register_vcpu_tb_trans_cb(id, OnTranslation);
  return 0;
}
