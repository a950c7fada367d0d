#define _GNU_SOURCE  // on_exit
#include "COpenMPI.h"

#include <CStandardStreams.h>

#include <mpi.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

// MPI_Comm and MPI_Request are pointers in Open MPI and integers in MPICH; through intptr_t both
// fit into 64 bits.

static MPI_Comm comm_of(rfm_mpi_comm handle) { return (MPI_Comm)(intptr_t)handle; }
static rfm_mpi_comm handle_of_comm(MPI_Comm comm) { return (int64_t)(intptr_t)comm; }
static MPI_Request request_of(rfm_mpi_request handle) { return (MPI_Request)(intptr_t)handle; }
static rfm_mpi_request handle_of_request(MPI_Request request) {
  return (int64_t)(intptr_t)request;
}

static MPI_Datatype type_of(int type) {
  switch (type) {
    case RFM_MPI_FLOAT: return MPI_FLOAT;
    case RFM_MPI_DOUBLE: return MPI_DOUBLE;
    case RFM_MPI_INT32: return MPI_INT32_T;
    case RFM_MPI_INT64: return MPI_INT64_T;
    case RFM_MPI_UINT8: return MPI_UINT8_T;
    case RFM_MPI_UINT64: return MPI_UINT64_T;
    case RFM_MPI_BFLOAT16: return MPI_UINT16_T;
    default: return MPI_DATATYPE_NULL;  // MPI answers MPI_ERR_TYPE
  }
}

// MPI has no bfloat16, so its sum is an operation of our own, made at initialisation.
static MPI_Op bfloat16_sum = MPI_OP_NULL;

static float float_of_bfloat16(uint16_t bits) {
  uint32_t wide = (uint32_t)bits << 16;
  float value;
  memcpy(&value, &wide, sizeof value);
  return value;
}

// Rounds to the nearest, ties to even; what is not a number stays one.
static uint16_t bfloat16_of_float(float value) {
  uint32_t bits;
  memcpy(&bits, &value, sizeof bits);
  if ((bits & 0x7fffffffu) > 0x7f800000u) return (uint16_t)(bits >> 16) | 0x40;
  return (uint16_t)((bits + 0x7fffu + ((bits >> 16) & 1)) >> 16);
}

static void sum_bfloat16(void *in, void *inout, int *count, MPI_Datatype *type) {
  (void)type;
  const uint16_t *a = in;
  uint16_t *b = inout;
  for (int i = 0; i < *count; i++) {
    b[i] = bfloat16_of_float(float_of_bfloat16(a[i]) + float_of_bfloat16(b[i]));
  }
}

static MPI_Op op_of(int op, int type) {
  if (type == RFM_MPI_BFLOAT16) return op == RFM_MPI_SUM ? bfloat16_sum : MPI_OP_NULL;
  switch (op) {
    case RFM_MPI_SUM: return MPI_SUM;
    case RFM_MPI_MIN: return MPI_MIN;
    case RFM_MPI_MAX: return MPI_MAX;
    default: return MPI_OP_NULL;  // MPI answers MPI_ERR_OP
  }
}

// Life of the library.

// What a process has said travels through its launcher, and Open MPI 5 ends a job without reading on. Waits
// until the launcher has taken it, and a moment for passing it on.
static void let_words_out(void) {
  for (int fd = 1; fd <= 2; fd++) rfm_wait_until_read(fd);
  usleep(100000);
}

static void end_job(int status) {
  let_words_out();
  MPI_Abort(MPI_COMM_WORLD, status);
}

static void end_with_process(int status, void *unused) {
  (void)unused;
  if (!rfm_mpi_is_active()) return;
  int size = 1;
  MPI_Comm_size(MPI_COMM_WORLD, &size);
  if (status == 0 || status == 75) {
    MPI_Finalize();
  } else if (size > 1) {
    end_job(status);
  }
}

int rfm_mpi_initialise(int *granted) {
  int initialised = 0;
  int code = MPI_Initialized(&initialised);
  if (code != MPI_SUCCESS) return code;
  int provided = MPI_THREAD_SINGLE;
  if (initialised) {
    code = MPI_Query_thread(&provided);
  } else {
    code = MPI_Init_thread(NULL, NULL, MPI_THREAD_MULTIPLE, &provided);
    if (code == MPI_SUCCESS) on_exit(end_with_process, NULL);
  }
  if (code != MPI_SUCCESS) return code;
  *granted = provided == MPI_THREAD_MULTIPLE     ? RFM_MPI_THREAD_MULTIPLE
             : provided == MPI_THREAD_SERIALIZED ? RFM_MPI_THREAD_SERIALIZED
             : provided == MPI_THREAD_FUNNELED   ? RFM_MPI_THREAD_FUNNELED
                                                 : RFM_MPI_THREAD_SINGLE;
  code = MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN);
  if (code != MPI_SUCCESS) return code;
  code = MPI_Comm_set_errhandler(MPI_COMM_SELF, MPI_ERRORS_RETURN);
  if (code != MPI_SUCCESS || bfloat16_sum != MPI_OP_NULL) return code;
  return MPI_Op_create(sum_bfloat16, /* commutative */ 1, &bfloat16_sum);
}

int rfm_mpi_is_active(void) {
  int initialised = 0, finalised = 0;
  MPI_Initialized(&initialised);
  MPI_Finalized(&finalised);
  return initialised && !finalised;
}

int rfm_mpi_finalise(void) { return rfm_mpi_is_active() ? MPI_Finalize() : MPI_SUCCESS; }

void rfm_mpi_abort(int status) {
  if (rfm_mpi_is_active()) end_job(status);
}

void rfm_mpi_error_text(int code, char *text, size_t capacity) {
  char whole[MPI_MAX_ERROR_STRING + 1] = "";
  int length = 0;
  if (MPI_Error_string(code, whole, &length) != MPI_SUCCESS) {
    snprintf(whole, sizeof whole, "MPI error %d", code);
  }
  snprintf(text, capacity, "%s", whole);
}

void rfm_mpi_library_version(char *text, size_t capacity) {
  char whole[MPI_MAX_LIBRARY_VERSION_STRING + 1] = "";
  int length = 0;
  if (MPI_Get_library_version(whole, &length) != MPI_SUCCESS) whole[0] = 0;
  whole[strcspn(whole, "\r\n")] = 0;
  snprintf(text, capacity, "%s", whole);
}

int rfm_mpi_host_name(char *text, size_t capacity) {
  char whole[MPI_MAX_PROCESSOR_NAME + 1] = "";
  int length = 0;
  int code = MPI_Get_processor_name(whole, &length);
  snprintf(text, capacity, "%s", whole);
  return code;
}

// Communicators.

rfm_mpi_comm rfm_mpi_world(void) { return handle_of_comm(MPI_COMM_WORLD); }

int rfm_mpi_rank(rfm_mpi_comm comm, int *rank) { return MPI_Comm_rank(comm_of(comm), rank); }
int rfm_mpi_size(rfm_mpi_comm comm, int *size) { return MPI_Comm_size(comm_of(comm), size); }

int rfm_mpi_duplicate(rfm_mpi_comm comm, rfm_mpi_comm *result) {
  MPI_Comm copy;
  int code = MPI_Comm_dup(comm_of(comm), &copy);
  if (code != MPI_SUCCESS) return code;
  *result = handle_of_comm(copy);
  return MPI_Comm_set_errhandler(copy, MPI_ERRORS_RETURN);
}

int rfm_mpi_split(
    rfm_mpi_comm comm, int color, int key, rfm_mpi_comm *result, int *is_member) {
  MPI_Comm part;
  int code = MPI_Comm_split(comm_of(comm), color < 0 ? MPI_UNDEFINED : color, key, &part);
  if (code != MPI_SUCCESS) return code;
  *is_member = part != MPI_COMM_NULL;
  if (part == MPI_COMM_NULL) return MPI_SUCCESS;
  *result = handle_of_comm(part);
  return MPI_Comm_set_errhandler(part, MPI_ERRORS_RETURN);
}

int rfm_mpi_split_by_node(rfm_mpi_comm comm, rfm_mpi_comm *result) {
  MPI_Comm node;
  int code =
      MPI_Comm_split_type(comm_of(comm), MPI_COMM_TYPE_SHARED, 0, MPI_INFO_NULL, &node);
  if (code != MPI_SUCCESS) return code;
  *result = handle_of_comm(node);
  return MPI_Comm_set_errhandler(node, MPI_ERRORS_RETURN);
}

int rfm_mpi_node_place(rfm_mpi_comm comm, int *node_rank, int *node_size) {
  rfm_mpi_comm part;
  int code = rfm_mpi_split_by_node(comm, &part);
  if (code != MPI_SUCCESS) return code;
  MPI_Comm node = comm_of(part);
  code = MPI_Comm_rank(node, node_rank);
  if (code == MPI_SUCCESS) code = MPI_Comm_size(node, node_size);
  int freed = MPI_Comm_free(&node);
  return code != MPI_SUCCESS ? code : freed;
}

// Collectives.

int rfm_mpi_allreduce(rfm_mpi_comm comm, void *buffer, int count, int type, int op) {
  return MPI_Allreduce(
      MPI_IN_PLACE, buffer, count, type_of(type), op_of(op, type), comm_of(comm));
}

int rfm_mpi_iallreduce(
    rfm_mpi_comm comm, void *buffer, int count, int type, int op, rfm_mpi_request *request) {
  MPI_Request started = MPI_REQUEST_NULL;
  int code = MPI_Iallreduce(
      MPI_IN_PLACE, buffer, count, type_of(type), op_of(op, type), comm_of(comm), &started);
  *request = handle_of_request(started);
  return code;
}

int rfm_mpi_reduce(rfm_mpi_comm comm, void *buffer, int count, int type, int op, int root) {
  int rank = 0;
  int code = MPI_Comm_rank(comm_of(comm), &rank);
  if (code != MPI_SUCCESS) return code;
  const void *from = rank == root ? MPI_IN_PLACE : buffer;
  void *into = rank == root ? buffer : NULL;
  return MPI_Reduce(from, into, count, type_of(type), op_of(op, type), root, comm_of(comm));
}

int rfm_mpi_broadcast(rfm_mpi_comm comm, void *buffer, int count, int type, int root) {
  return MPI_Bcast(buffer, count, type_of(type), root, comm_of(comm));
}

int rfm_mpi_allgather(
    rfm_mpi_comm comm, const void *part, int count, int type, void *whole) {
  return MPI_Allgather(
      part, count, type_of(type), whole, count, type_of(type), comm_of(comm));
}

int rfm_mpi_gatherv(
    rfm_mpi_comm comm, const void *part, int count, int type, void *whole, const int *counts,
    const int *displacements, int root) {
  return MPI_Gatherv(
      part, count, type_of(type), whole, counts, displacements, type_of(type), root,
      comm_of(comm));
}

int rfm_mpi_allgatherv(
    rfm_mpi_comm comm, const void *part, int count, int type, void *whole, const int *counts,
    const int *displacements) {
  return MPI_Allgatherv(
      part, count, type_of(type), whole, counts, displacements, type_of(type), comm_of(comm));
}

int rfm_mpi_iallgather(
    rfm_mpi_comm comm, const void *part, int count, int type, void *whole,
    rfm_mpi_request *request) {
  MPI_Request started = MPI_REQUEST_NULL;
  int code = MPI_Iallgather(
      part, count, type_of(type), whole, count, type_of(type), comm_of(comm), &started);
  *request = handle_of_request(started);
  return code;
}

int rfm_mpi_ialltoall(
    rfm_mpi_comm comm, const void *parts, int count, int type, void *received,
    rfm_mpi_request *request) {
  MPI_Request started = MPI_REQUEST_NULL;
  int code = MPI_Ialltoall(
      parts, count, type_of(type), received, count, type_of(type), comm_of(comm), &started);
  *request = handle_of_request(started);
  return code;
}

int rfm_mpi_barrier(rfm_mpi_comm comm) { return MPI_Barrier(comm_of(comm)); }

int rfm_mpi_ibarrier(rfm_mpi_comm comm, rfm_mpi_request *request) {
  MPI_Request started = MPI_REQUEST_NULL;
  int code = MPI_Ibarrier(comm_of(comm), &started);
  *request = handle_of_request(started);
  return code;
}

// Messages between two ranks.

int rfm_mpi_send(
    rfm_mpi_comm comm, const void *buffer, int count, int type, int destination, int tag) {
  return MPI_Send(buffer, count, type_of(type), destination, tag, comm_of(comm));
}

int rfm_mpi_receive(
    rfm_mpi_comm comm, void *buffer, int count, int type, int source, int tag) {
  return MPI_Recv(
      buffer, count, type_of(type), source, tag, comm_of(comm), MPI_STATUS_IGNORE);
}

int rfm_mpi_isend(
    rfm_mpi_comm comm, const void *buffer, int count, int type, int destination, int tag,
    rfm_mpi_request *request) {
  MPI_Request started = MPI_REQUEST_NULL;
  int code =
      MPI_Isend(buffer, count, type_of(type), destination, tag, comm_of(comm), &started);
  *request = handle_of_request(started);
  return code;
}

int rfm_mpi_ireceive(
    rfm_mpi_comm comm, void *buffer, int count, int type, int source, int tag,
    rfm_mpi_request *request) {
  MPI_Request started = MPI_REQUEST_NULL;
  int code = MPI_Irecv(buffer, count, type_of(type), source, tag, comm_of(comm), &started);
  *request = handle_of_request(started);
  return code;
}

// Requests.

rfm_mpi_request rfm_mpi_null_request(void) { return handle_of_request(MPI_REQUEST_NULL); }

int rfm_mpi_test(rfm_mpi_request *request, int *done) {
  MPI_Request pending = request_of(*request);
  int code = MPI_Test(&pending, done, MPI_STATUS_IGNORE);
  *request = handle_of_request(pending);
  return code;
}

int rfm_mpi_wait(rfm_mpi_request *request) {
  MPI_Request pending = request_of(*request);
  int code = MPI_Wait(&pending, MPI_STATUS_IGNORE);
  *request = handle_of_request(pending);
  return code;
}

int rfm_mpi_give_up(rfm_mpi_request *request) {
  MPI_Request pending = request_of(*request);
  int code = MPI_SUCCESS;
  if (pending != MPI_REQUEST_NULL) {
    MPI_Cancel(&pending);
    code = MPI_Request_free(&pending);
  }
  *request = handle_of_request(MPI_REQUEST_NULL);
  return code;
}
