#pragma once

// What Swift cannot import from mpi.h, and nothing else: MPI's handles are macros over casts, so
// they travel as 64-bit integers here, and constants as the enumerations below. Every function
// that returns int returns MPI's error code, 0 for success. Counts are MPI's own 32-bit counts:
// splitting longer buffers into pieces is the caller's decision.

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

enum rfm_mpi_type {
  RFM_MPI_FLOAT = 0,
  RFM_MPI_DOUBLE = 1,
  RFM_MPI_INT32 = 2,
  RFM_MPI_INT64 = 3,
  RFM_MPI_UINT8 = 4,
  RFM_MPI_UINT64 = 5,
  /// The upper half of a float32's bits; can be moved and summed, not compared.
  RFM_MPI_BFLOAT16 = 6,
};

enum rfm_mpi_op { RFM_MPI_SUM = 0, RFM_MPI_MIN = 1, RFM_MPI_MAX = 2 };

/// Thread support, lowest first, as MPI orders it.
enum rfm_mpi_thread {
  RFM_MPI_THREAD_SINGLE = 0,
  RFM_MPI_THREAD_FUNNELED = 1,
  RFM_MPI_THREAD_SERIALIZED = 2,
  RFM_MPI_THREAD_MULTIPLE = 3,
};

typedef int64_t rfm_mpi_comm;
typedef int64_t rfm_mpi_request;

// Life of the library.

/// Initialises MPI unless it already is, asking for MPI_THREAD_MULTIPLE; `granted` receives an
/// `rfm_mpi_thread`. Also makes MPI return its errors and arranges for `exit` to end MPI: with
/// MPI_Finalize after a status that all ranks share by agreement (0, 75), with MPI_Abort after
/// any other, because the other ranks would wait for this one (a lone rank just exits).
int rfm_mpi_initialise(int *granted);
/// Initialised and not yet finalised.
int rfm_mpi_is_active(void);
/// Finalises MPI if it is active; does nothing otherwise.
int rfm_mpi_finalise(void);
/// Ends every rank of the job. Returns only if MPI is not active.
void rfm_mpi_abort(int status);
/// MPI's text for an error code, zero-terminated and cut to `capacity` bytes.
void rfm_mpi_error_text(int code, char *text, size_t capacity);
/// One line that names the MPI library and its version.
void rfm_mpi_library_version(char *text, size_t capacity);
/// The host's name as MPI knows it.
int rfm_mpi_host_name(char *text, size_t capacity);

// Communicators.

rfm_mpi_comm rfm_mpi_world(void);
int rfm_mpi_rank(rfm_mpi_comm comm, int *rank);
int rfm_mpi_size(rfm_mpi_comm comm, int *size);
int rfm_mpi_duplicate(rfm_mpi_comm comm, rfm_mpi_comm *result);
/// A negative colour joins no part: `is_member` is then 0 and `result` is not set.
int rfm_mpi_split(
    rfm_mpi_comm comm, int color, int key, rfm_mpi_comm *result, int *is_member);
/// The ranks of `comm` that share this one's memory. Collective.
int rfm_mpi_split_by_node(rfm_mpi_comm comm, rfm_mpi_comm *result);
/// This rank's place among the ranks of `comm` that share its memory. Collective.
int rfm_mpi_node_place(rfm_mpi_comm comm, int *node_rank, int *node_size);

// Collectives. `type` is an rfm_mpi_type, `op` an rfm_mpi_op.

int rfm_mpi_allreduce(rfm_mpi_comm comm, void *buffer, int count, int type, int op);
int rfm_mpi_iallreduce(
    rfm_mpi_comm comm, void *buffer, int count, int type, int op, rfm_mpi_request *request);
/// In place on `root`; the other ranks' buffers are only read.
int rfm_mpi_reduce(rfm_mpi_comm comm, void *buffer, int count, int type, int op, int root);
int rfm_mpi_broadcast(rfm_mpi_comm comm, void *buffer, int count, int type, int root);
int rfm_mpi_allgather(
    rfm_mpi_comm comm, const void *part, int count, int type, void *whole);
int rfm_mpi_gatherv(
    rfm_mpi_comm comm, const void *part, int count, int type, void *whole, const int *counts,
    const int *displacements, int root);
int rfm_mpi_allgatherv(
    rfm_mpi_comm comm, const void *part, int count, int type, void *whole, const int *counts,
    const int *displacements);
/// Every rank's part to every rank. `part` has `count` elements, `whole` that many a rank.
int rfm_mpi_iallgather(
    rfm_mpi_comm comm, const void *part, int count, int type, void *whole,
    rfm_mpi_request *request);
/// The r-th part of `parts` to rank r, whose `received` has this rank's at this rank's place. A part
/// has `count` elements.
int rfm_mpi_ialltoall(
    rfm_mpi_comm comm, const void *parts, int count, int type, void *received,
    rfm_mpi_request *request);
int rfm_mpi_barrier(rfm_mpi_comm comm);
int rfm_mpi_ibarrier(rfm_mpi_comm comm, rfm_mpi_request *request);

// Messages between two ranks.

int rfm_mpi_send(
    rfm_mpi_comm comm, const void *buffer, int count, int type, int destination, int tag);
int rfm_mpi_receive(rfm_mpi_comm comm, void *buffer, int count, int type, int source, int tag);
/// Begins to send; `buffer` must stay as it is until the request is done.
int rfm_mpi_isend(
    rfm_mpi_comm comm, const void *buffer, int count, int type, int destination, int tag,
    rfm_mpi_request *request);
/// Begins to receive; `buffer` belongs to MPI until the request is done.
int rfm_mpi_ireceive(
    rfm_mpi_comm comm, void *buffer, int count, int type, int source, int tag,
    rfm_mpi_request *request);

// Requests. A completed request becomes the null request.

rfm_mpi_request rfm_mpi_null_request(void);
int rfm_mpi_test(rfm_mpi_request *request, int *done);
int rfm_mpi_wait(rfm_mpi_request *request);
/// Gives up a message between two ranks, without waiting for it. A buffer that was being sent must
/// stay all the same.
int rfm_mpi_give_up(rfm_mpi_request *request);

#ifdef __cplusplus
}
#endif
