import COpenMPI
import Glibc

/// What ranks last said of themselves, spread among all by small messages on a communicator of its
/// own: every rank sends its whole table to one other at a time, 1, 2, 4, … places further round. So a
/// status is everywhere after log₂(ranks) rounds, whoever does not answer.
///
/// Nothing here waits: messages are begun and looked at later.
struct StatusExchange {
  /// What a rank says of itself, as it travels.
  struct Status: BitwiseCopyable {
    /// Grows with every round of the rank that speaks.
    var round: Int64 = 0
    var step: Int64 = 0
    var phase: Int64 = 0
    var beats: Int64 = 0
    /// Of ``CollectiveCounter/watched``.
    var counts: (Int64, Int64) = (0, 0)

    static let width = MemoryLayout<Status>.stride / MemoryLayout<Int64>.stride

    func count(_ place: Int) -> Int64 { place == 0 ? counts.0 : counts.1 }

    /// Whether the rank has done anything since `earlier`.
    func isFurther(than earlier: Status) -> Bool {
      step != earlier.step || phase != earlier.phase || beats != earlier.beats
        || counts != earlier.counts
    }
  }

  private let communicator: Communicator
  private let distances: [Int]
  private let rows: Int
  private let outgoing: [UnsafeMutablePointer<Status>]
  private let incoming: [UnsafeMutablePointer<Status>]
  private var sends: [Int64]
  private var receipts: [Int64]
  private var round = 0

  /// - Parameter communicator: nobody else uses it.
  init(_ communicator: Communicator) {
    self.communicator = communicator
    let rows = communicator.size
    let distances = Array(sequence(first: 1) { $0 * 2 }.prefix { $0 < rows })
    func tables() -> [UnsafeMutablePointer<Status>] {
      distances.map { _ in
        let table = UnsafeMutablePointer<Status>.allocate(capacity: rows)
        table.initialize(repeating: Status(), count: rows)
        return table
      }
    }
    self.rows = rows
    self.distances = distances
    outgoing = tables()
    incoming = tables()
    sends = distances.map { _ in rfm_mpi_null_request() }
    receipts = sends
  }

  /// Begins to listen.
  mutating func open() throws(MPIError) {
    for place in distances.indices { try listen(place) }
  }

  /// Takes in what has come, and sends the table to one other rank.
  mutating func exchange(
    _ table: [Status], hear: (UnsafeBufferPointer<Status>) -> Void
  ) throws(MPIError) {
    for place in distances.indices {
      var done: Int32 = 0
      try check(rfm_mpi_test(&receipts[place], &done), "MPI_Irecv")
      if done == 0 { continue }
      hear(UnsafeBufferPointer(start: incoming[place], count: rows))
      try listen(place)
    }
    let place = round % distances.count
    round += 1
    var done: Int32 = 0
    try check(rfm_mpi_test(&sends[place], &done), "MPI_Isend")
    // The one before has not gone: the rank at the other end does not take it.
    if done == 0 { return }
    for row in 0..<rows { outgoing[place][row] = table[row] }
    try check(
      rfm_mpi_isend(
        communicator.handle, outgoing[place], Int32(rows * Status.width), Int64.mpiType,
        Int32((communicator.rank + distances[place]) % rows), Int32(place), &sends[place]),
      "MPI_Isend")
  }

  /// Gives up what is under way. The memory of messages that have not gone stays, since MPI may
  /// still read it.
  mutating func close() {
    for place in distances.indices {
      var done: Int32 = 0
      let hasGone = rfm_mpi_test(&sends[place], &done) == 0 && done != 0
      if hasGone { outgoing[place].deallocate() } else { _ = rfm_mpi_give_up(&sends[place]) }
      _ = rfm_mpi_give_up(&receipts[place])
    }
  }

  private mutating func listen(_ place: Int) throws(MPIError) {
    let source = (communicator.rank + rows - distances[place]) % rows
    try check(
      rfm_mpi_ireceive(
        communicator.handle, incoming[place], Int32(rows * Status.width), Int64.mpiType,
        Int32(source), Int32(place), &receipts[place]), "MPI_Irecv")
  }

  private func check(_ code: Int32, _ operation: StaticString) throws(MPIError) {
    try MPIError.check(code, "\(operation)", rank: communicator.rank)
  }
}
