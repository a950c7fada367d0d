import COpenMPI

/// A group of ranks that exchange messages among themselves: all of the job, or a part of it.
///
/// Every method that moves data is collective: all ranks of the group call it, in the same order,
/// with the same element type, operation, root and (unless said otherwise) count. Two threads must
/// not use one communicator at the same time; give each a `duplicate()`.
///
/// Buffers longer than MPI can count (2³¹ − 1 elements) go in pieces. A communicator lives until
/// MPI is finalised, because freeing it is itself collective: make few and keep them.
public final class Communicator: Sendable {
  let handle: Int64
  /// This process's number in the group, 0 up to `size` - 1.
  public let rank: Int
  /// The number of ranks in the group.
  public let size: Int
  /// This process's number among the group's ranks on the same host.
  public let nodeRank: Int
  /// The number of the group's ranks on this host.
  public let nodeSize: Int
  /// This host's name as MPI knows it.
  public let hostName: String
  /// The most elements handed to MPI in one call.
  let pieceLimit: Int
  /// The collectives that this rank has come to.
  let counter: CollectiveCounter

  /// Whether this is rank 0, the one that speaks.
  public var isRoot: Bool { rank == 0 }

  private init(
    handle: Int64, rank: Int, size: Int, nodeRank: Int, nodeSize: Int, hostName: String,
    pieceLimit: Int, counter: CollectiveCounter
  ) {
    self.handle = handle
    self.rank = rank
    self.size = size
    self.nodeRank = nodeRank
    self.nodeSize = nodeSize
    self.hostName = hostName
    self.pieceLimit = pieceLimit
    self.counter = counter
  }

  /// Learns the place of this rank in the group behind `handle`. Collective over the group.
  private convenience init(
    describing handle: Int64, pieceLimit: Int, counter: CollectiveCounter = CollectiveCounter()
  ) throws(MPIError) {
    var rank: Int32 = 0
    var size: Int32 = 0
    var nodeRank: Int32 = 0
    var nodeSize: Int32 = 0
    try MPIError.check(rfm_mpi_rank(handle, &rank), "MPI_Comm_rank", rank: nil)
    try MPIError.check(rfm_mpi_size(handle, &size), "MPI_Comm_size", rank: Int(rank))
    try MPIError.check(
      rfm_mpi_node_place(handle, &nodeRank, &nodeSize), "MPI_Comm_split_type", rank: Int(rank))
    let hostName = string(capacity: 512) { _ = rfm_mpi_host_name($0, $1) }
    self.init(
      handle: handle, rank: Int(rank), size: Int(size), nodeRank: Int(nodeRank),
      nodeSize: Int(nodeSize), hostName: hostName, pieceLimit: pieceLimit, counter: counter)
  }

  // MARK: Groups

  /// All ranks of the job; a single one if the process was not started by a launcher. Initialises
  /// MPI at the first call and returns the same communicator, a duplicate of MPI_COMM_WORLD, at
  /// every call.
  ///
  /// - Parameter needing: the thread support the caller relies on.
  /// - Throws: `MPIError`, also if the MPI library grants less thread support than needed.
  public static func world(needing: MessagePassing.ThreadSupport = .multiple) throws(MPIError)
    -> Communicator
  {
    let granted = try MessagePassing.start()
    if granted < needing {
      throw MPIError(
        operation: "MPI_Init_thread", rank: MessagePassing.rank,
        text: "this MPI library grants only \(granted), but \(needing) is needed; "
          + "use one that was built with thread support, such as Debian's openmpi-bin")
    }
    return try sharedWorld.get()
  }

  private static let sharedWorld: Result<Communicator, MPIError> = Result {
    () throws(MPIError) in
    var handle: Int64 = 0
    try MPIError.check(
      rfm_mpi_duplicate(rfm_mpi_world(), &handle), "MPI_Comm_dup",
      rank: MessagePassing.rank)
    return try Communicator(
      describing: handle, pieceLimit: Int(Int32.max), counter: .world)
  }

  /// The same group with messages of its own, for use by another thread.
  public func duplicate() throws(MPIError) -> Communicator {
    try duplicate(counter: .duplicates)
  }

  func duplicate(counter: CollectiveCounter) throws(MPIError) -> Communicator {
    var copy: Int64 = 0
    try collective("MPI_Comm_dup") { rfm_mpi_duplicate(handle, &copy) }
    return Communicator(
      handle: copy, rank: rank, size: size, nodeRank: nodeRank, nodeSize: nodeSize,
      hostName: hostName, pieceLimit: pieceLimit, counter: counter)
  }

  /// The part of the group whose ranks gave the same `color`, ordered by `key`, then by rank.
  ///
  /// - Parameter color: not negative; nil joins no part.
  /// - Returns: nil on the ranks that gave no colour.
  public func split(color: Int?, key: Int) throws(MPIError) -> Communicator? {
    precondition((color ?? 0) >= 0, "a colour must not be negative, got \(color ?? 0)")
    var part: Int64 = 0
    var isMember: Int32 = 0
    try check(
      rfm_mpi_split(handle, color.map { Int32($0) } ?? -1, Int32(key), &part, &isMember),
      "MPI_Comm_split")
    guard isMember != 0 else { return nil }
    return try Communicator(describing: part, pieceLimit: pieceLimit)
  }

  /// The ranks of the group that share this one's host.
  public func node() throws(MPIError) -> Communicator {
    var part: Int64 = 0
    try check(rfm_mpi_split_by_node(handle, &part), "MPI_Comm_split_type")
    return try Communicator(describing: part, pieceLimit: pieceLimit)
  }

  /// The same ranks and messages with a lower limit of elements a call, so that tests can see
  /// buffers go in pieces without gigabytes.
  package func limitingPieces(to limit: Int) -> Communicator {
    precondition(limit > 0 && limit <= Int(Int32.max), "a piece holds 1 to 2^31 - 1 elements")
    return Communicator(
      handle: handle, rank: rank, size: size, nodeRank: nodeRank, nodeSize: nodeSize,
      hostName: hostName, pieceLimit: limit, counter: counter)
  }

  // MARK: Waiting for one another, and not

  /// Returns when every rank has come here.
  public func barrier() throws(MPIError) {
    try collective("MPI_Barrier") { rfm_mpi_barrier(handle) }
  }

  /// The same for ranks that may wait long for one that works, on a disk say: they leave it the cores.
  public func patientBarrier() throws(MPIError) {
    var request = try startBarrier()
    var pauses = Pauses()
    while try !request.test() { pauses.pause() }
  }

  /// Tells the others that this rank has come here; the request is done when every rank has.
  public func startBarrier() throws(MPIError) -> Request {
    var request = Request("MPI_Ibarrier", rank: rank, counter)
    try request.add { rfm_mpi_ibarrier(handle, $0) }
    return request
  }

  /// Ends every rank of the job at once, not only of this group; the launcher exits with `status`.
  public func abort(status: Int32) -> Never {
    MessagePassing.abort(status: status)
  }

  // MARK: Waiting elsewhere

  /// Says that this rank waits for others somewhere else, in memory say, which counts as a collective: all
  /// ranks of the group say so, in the same order. To a watchdog that is how far they have come.
  package func arrive(at name: StaticString) { counter.arrive(at: name) }

  /// The others have come.
  package func leave() { counter.leave() }

  // MARK: Helpers

  func check(_ code: Int32, _ operation: StaticString) throws(MPIError) {
    try MPIError.check(code, "\(operation)", rank: rank)
  }

  /// Calls an operation that waits for other ranks.
  func collective(
    _ operation: StaticString, _ call: () -> Int32
  ) throws(MPIError) {
    counter.arrive(at: operation)
    let code = call()
    counter.leave()
    try check(code, operation)
  }

  /// Calls `body` for consecutive parts of `buffer`, none longer than the limit. An empty buffer is
  /// one empty part: collectives must be called all the same.
  func pieces<T>(
    of buffer: UnsafeMutableBufferPointer<T>,
    _ body: (UnsafeMutablePointer<T>?, Int32) throws(MPIError) -> Void
  ) throws(MPIError) {
    var start = 0
    repeat {
      let count = min(buffer.count - start, pieceLimit)
      try body(buffer.baseAddress.map { $0 + start }, Int32(count))
      start += count
    } while start < buffer.count
  }

  /// `withUnsafeMutableBufferPointer` with a typed error.
  func withBuffer<T>(
    of values: inout [T], _ body: (UnsafeMutableBufferPointer<T>) throws(MPIError) -> Void
  ) throws(MPIError) {
    let result: Result<Void, MPIError> = values.withUnsafeMutableBufferPointer { buffer in
      do throws(MPIError) {
        try body(buffer)
        return .success(())
      } catch {
        return .failure(error)
      }
    }
    try result.get()
  }
}
