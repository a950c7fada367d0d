import COpenMPI
import Glibc

/// A collective that was started and may still be running.
///
/// The buffer handed to the call that started it belongs to MPI until `test()` has returned true or
/// `wait()` has returned: it must stay allocated, and must be neither read nor written. Open MPI
/// moves data only inside its own calls, so progress on the way depends on somebody calling
/// `test()` (or any other MPI function) now and then.
///
/// A request that is dropped waits in its `deinit`, because forgetting a running operation would
/// let it write into memory that is no longer its own. It may be finished on another thread than
/// the one that started it.
public struct Request: ~Copyable, @unchecked Sendable {
  private let operation: StaticString
  private let rank: Int
  /// The first piece; in nearly every use the only one.
  private var first: Int64
  /// The pieces after the first, if the buffer was longer than MPI can count.
  private var others: [Int64]
  private let counter: CollectiveCounter

  init(_ operation: StaticString, rank: Int, _ counter: CollectiveCounter) {
    self.operation = operation
    self.rank = rank
    self.counter = counter
    first = rfm_mpi_null_request()
    others = []
  }

  /// Adds a piece that `start` begins; pieces begun before stay owned if this one fails.
  mutating func add(_ start: (UnsafeMutablePointer<Int64>) -> Int32) throws(MPIError) {
    var piece = rfm_mpi_null_request()
    counter.arrive(at: operation)
    try MPIError.check(start(&piece), "\(operation)", rank: rank)
    if first == rfm_mpi_null_request() { first = piece } else { others.append(piece) }
  }

  /// Whether the operation has finished; lets MPI make progress if not. Never blocks.
  public mutating func test() throws(MPIError) -> Bool {
    var done: Int32 = 0
    try MPIError.check(rfm_mpi_test(&first, &done), "\(operation) (test)", rank: rank)
    var all = done != 0
    for index in others.indices {
      try MPIError.check(
        rfm_mpi_test(&others[index], &done), "\(operation) (test)", rank: rank)
      all = all && done != 0
    }
    if all { counter.leave() }
    return all
  }

  /// Returns when the operation has finished. MPI polls without rest meanwhile; give `sleeping`
  /// to poll this many microseconds apart instead and leave the core to the rank's own workers.
  public consuming func wait(sleeping microseconds: UInt32 = 0) throws(MPIError) {
    if microseconds > 0 {
      while try !test() { usleep(microseconds) }
    }
    try finish()
  }

  /// Gives up an operation that another rank may never come to, before this process ends: it is not
  /// waited for, so what was handed to it must stay allocated until then.
  public mutating func abandon() {
    counter.leave()
    first = rfm_mpi_null_request()
    others = []
  }

  private mutating func finish() throws(MPIError) {
    let firstCode = rfm_mpi_wait(&first)
    var code = firstCode
    for index in others.indices {
      let pieceCode = rfm_mpi_wait(&others[index])
      if code == 0 { code = pieceCode }
    }
    others = []
    counter.leave()
    try MPIError.check(code, "\(operation) (wait)", rank: rank)
  }

  deinit {
    guard MessagePassing.isActive else { return }
    var pending = first
    _ = rfm_mpi_wait(&pending)
    for piece in others {
      pending = piece
      _ = rfm_mpi_wait(&pending)
    }
  }
}
