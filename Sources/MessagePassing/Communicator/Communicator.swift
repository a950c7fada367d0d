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

  // MARK: Reductions

  /// Combines the ranks' buffers element by element; every rank ends with the result in place.
  public func allReduce<T: MPIScalar>(
    _ buffer: UnsafeMutableBufferPointer<T>, _ operation: ReduceOperation = .sum
  ) throws(MPIError) {
    try pieces(of: buffer) { (address, count) throws(MPIError) in
      try collective("MPI_Allreduce") {
        rfm_mpi_allreduce(handle, address, count, T.mpiType, operation.code)
      }
    }
  }

  /// Combines the ranks' arrays element by element; every rank ends with the result.
  public func allReduce<T: MPIScalar>(
    _ values: inout [T], _ operation: ReduceOperation = .sum
  ) throws(MPIError) {
    try withBuffer(of: &values) { (buffer) throws(MPIError) in try allReduce(buffer, operation) }
  }

  /// Combines one value a rank; every rank gets the result.
  public func allReduce<T: MPIScalar>(
    _ value: T, _ operation: ReduceOperation = .sum
  ) throws(MPIError) -> T {
    var values = [value]
    try allReduce(&values, operation)
    return values[0]
  }

  /// Whether `condition` holds on every rank.
  public func all(_ condition: Bool) throws(MPIError) -> Bool {
    try allReduce(condition ? 1 : 0 as UInt8, .min) == 1
  }

  /// Whether `condition` holds on at least one rank.
  public func any(_ condition: Bool) throws(MPIError) -> Bool {
    try allReduce(condition ? 1 : 0 as UInt8, .max) == 1
  }

  /// Begins an `allReduce` and returns at once; `buffer` belongs to MPI until the request is done.
  public func startAllReduce<T: MPIScalar>(
    _ buffer: UnsafeMutableBufferPointer<T>, _ operation: ReduceOperation = .sum
  ) throws(MPIError) -> Request {
    var request = Request("MPI_Iallreduce", rank: rank, counter)
    try pieces(of: buffer) { (address, count) throws(MPIError) in
      try request.add {
        rfm_mpi_iallreduce(handle, address, count, T.mpiType, operation.code, $0)
      }
    }
    return request
  }

  /// Combines the ranks' buffers element by element into `root`'s; the others' stay as they are.
  public func reduce<T: MPIScalar>(
    _ buffer: UnsafeMutableBufferPointer<T>, _ operation: ReduceOperation = .sum, to root: Int = 0
  ) throws(MPIError) {
    try pieces(of: buffer) { (address, count) throws(MPIError) in
      try collective("MPI_Reduce") {
        rfm_mpi_reduce(handle, address, count, T.mpiType, operation.code, Int32(root))
      }
    }
  }

  /// Combines the ranks' arrays element by element into `root`'s; the others' stay as they are.
  public func reduce<T: MPIScalar>(
    _ values: inout [T], _ operation: ReduceOperation = .sum, to root: Int = 0
  ) throws(MPIError) {
    try withBuffer(of: &values) { (buffer) throws(MPIError) in
      try reduce(buffer, operation, to: root)
    }
  }

  // MARK: Broadcast

  /// Copies `root`'s buffer into every rank's, all of the same count.
  public func broadcast<T: MPIScalar>(
    _ buffer: UnsafeMutableBufferPointer<T>, from root: Int = 0
  ) throws(MPIError) {
    try pieces(of: buffer) { (address, count) throws(MPIError) in
      try collective("MPI_Bcast") {
        rfm_mpi_broadcast(handle, address, count, T.mpiType, Int32(root))
      }
    }
  }

  /// `root`'s array on every rank. The others' argument is not looked at, so its length is free.
  public func broadcast<T: MPIScalar>(_ values: [T], from root: Int = 0) throws(MPIError) -> [T] {
    var header = [rank == root ? Int64(values.count) : 0]
    try withBuffer(of: &header) { (buffer) throws(MPIError) in
      try broadcast(buffer, from: root)
    }
    var result = rank == root ? values : [T](repeating: .zero, count: Int(header[0]))
    try withBuffer(of: &result) { (buffer) throws(MPIError) in
      try broadcast(buffer, from: root)
    }
    return result
  }

  /// `root`'s value on every rank.
  public func broadcast<T: MPIScalar>(_ value: T, from root: Int = 0) throws(MPIError) -> T {
    try broadcast([value], from: root)[0]
  }

  /// `root`'s string on every rank.
  public func broadcast(_ string: String, from root: Int = 0) throws(MPIError) -> String {
    String(decoding: try broadcast(Array(string.utf8), from: root), as: UTF8.self)
  }

  // MARK: Gathering

  /// The ranks' parts, each of any length, in rank order on `root`.
  ///
  /// - Returns: one array a rank on `root`, nil on the others.
  public func gather<T: MPIScalar>(_ part: [T], to root: Int = 0) throws(MPIError) -> [[T]]? {
    let counts = try counts(of: part)
    let total = counts.reduce(0, +)
    if total > pieceLimit { return try gatherInPieces(part, counts: counts, to: root) }

    let starts = Communicator.starts(of: counts)
    var whole = [T](repeating: .zero, count: rank == root ? total : 0)
    try withBuffer(of: &whole) { (buffer) throws(MPIError) in
      try collective("MPI_Gatherv") {
        part.withUnsafeBufferPointer {
          rfm_mpi_gatherv(
            handle, $0.baseAddress, Int32($0.count), T.mpiType, buffer.baseAddress,
            counts.map { Int32($0) }, starts.map { Int32($0) }, Int32(root))
        }
      }
    }
    return rank == root ? Communicator.divide(whole, counts: counts, starts: starts) : nil
  }

  /// The ranks' strings in rank order on `root`, nil on the others.
  public func gather(_ string: String, to root: Int = 0) throws(MPIError) -> [String]? {
    try gather(Array(string.utf8), to: root)?.map { String(decoding: $0, as: UTF8.self) }
  }

  /// The ranks' parts, all of one length, joined in rank order, on every rank.
  public func allGather<T: MPIScalar>(_ part: [T]) throws(MPIError) -> [T] {
    if part.count > pieceLimit { return try Array(allGatherUnequal(part).joined()) }
    var whole = [T](repeating: .zero, count: part.count * size)
    try withBuffer(of: &whole) { (buffer) throws(MPIError) in
      try collective("MPI_Allgather") {
        part.withUnsafeBufferPointer {
          rfm_mpi_allgather(
            handle, $0.baseAddress, Int32($0.count), T.mpiType, buffer.baseAddress)
        }
      }
    }
    return whole
  }

  /// The ranks' parts, each of any length, in rank order, on every rank.
  public func allGatherUnequal<T: MPIScalar>(_ part: [T]) throws(MPIError) -> [[T]] {
    let counts = try counts(of: part)
    let total = counts.reduce(0, +)
    if total > pieceLimit {
      var parts = [[T]]()
      for root in 0..<size { parts.append(try broadcast(rank == root ? part : [], from: root)) }
      return parts
    }
    let starts = Communicator.starts(of: counts)
    var whole = [T](repeating: .zero, count: total)
    try withBuffer(of: &whole) { (buffer) throws(MPIError) in
      try collective("MPI_Allgatherv") {
        part.withUnsafeBufferPointer {
          rfm_mpi_allgatherv(
            handle, $0.baseAddress, Int32($0.count), T.mpiType, buffer.baseAddress,
            counts.map { Int32($0) }, starts.map { Int32($0) })
        }
      }
    }
    return Communicator.divide(whole, counts: counts, starts: starts)
  }

  /// The ranks' strings in rank order, on every rank.
  public func allGather(_ string: String) throws(MPIError) -> [String] {
    try allGatherUnequal(Array(string.utf8)).map { String(decoding: $0, as: UTF8.self) }
  }

  /// Begins to copy every rank's part, in rank order, into every rank's `whole`, and returns at
  /// once; both buffers belong to MPI until the request is done, and must not overlap.
  ///
  /// - Parameters:
  ///   - part: the same count on every rank, within what MPI can count.
  ///   - whole: `size` times as many.
  public func startAllGather<T: MPIScalar>(
    _ part: UnsafeBufferPointer<T>, into whole: UnsafeMutableBufferPointer<T>
  ) throws(MPIError) -> Request {
    precondition(
      whole.count == part.count * size && part.count <= Int(Int32.max),
      "room for \(size) parts of \(part.count) was expected, got \(whole.count)")
    var request = Request("MPI_Iallgather", rank: rank, counter)
    try request.add {
      rfm_mpi_iallgather(
        handle, part.baseAddress, Int32(part.count), T.mpiType, whole.baseAddress, $0)
    }
    return request
  }

  /// Begins to hand the r-th of `size` equal parts of `parts` to rank r, and returns at once;
  /// `received` gets one part from every rank, in rank order. Both buffers belong to MPI until the
  /// request is done, and must not overlap.
  public func startAllToAll<T: MPIScalar>(
    _ parts: UnsafeBufferPointer<T>, into received: UnsafeMutableBufferPointer<T>
  ) throws(MPIError) -> Request {
    let count = parts.count / size
    precondition(
      parts.count == count * size && received.count == parts.count && count <= Int(Int32.max),
      "\(size) equal parts were expected, got \(parts.count) elements for \(received.count)")
    var request = Request("MPI_Ialltoall", rank: rank, counter)
    try request.add {
      rfm_mpi_ialltoall(
        handle, parts.baseAddress, Int32(count), T.mpiType, received.baseAddress, $0)
    }
    return request
  }

  private func counts<T: MPIScalar>(of part: [T]) throws(MPIError) -> [Int] {
    // Not through `allGather`, which may come here for long parts.
    var counts = [Int](repeating: 0, count: size)
    try withBuffer(of: &counts) { (buffer) throws(MPIError) in
      var count = part.count
      try collective("MPI_Allgather") {
        rfm_mpi_allgather(handle, &count, 1, Int.mpiType, buffer.baseAddress)
      }
    }
    return counts
  }

  private func gatherInPieces<T: MPIScalar>(
    _ part: [T], counts: [Int], to root: Int
  ) throws(MPIError) -> [[T]]? {
    guard rank == root else {
      var part = part
      try withBuffer(of: &part) { (buffer) throws(MPIError) in
        try pieces(of: buffer) { (address, count) throws(MPIError) in
          try check(
            rfm_mpi_send(handle, address, count, T.mpiType, Int32(root), 0), "MPI_Send")
        }
      }
      return nil
    }
    var parts = [[T]]()
    for source in 0..<size {
      if source == rank {
        parts.append(part)
        continue
      }
      var received = [T](repeating: .zero, count: counts[source])
      try withBuffer(of: &received) { (buffer) throws(MPIError) in
        try pieces(of: buffer) { (address, count) throws(MPIError) in
          try check(
            rfm_mpi_receive(handle, address, count, T.mpiType, Int32(source), 0), "MPI_Recv")
        }
      }
      parts.append(received)
    }
    return parts
  }

  private static func starts(of counts: [Int]) -> [Int] {
    var start = 0
    return counts.map { count in
      defer { start += count }
      return start
    }
  }

  private static func divide<T>(_ whole: [T], counts: [Int], starts: [Int]) -> [[T]] {
    zip(starts, counts).map { Array(whole[$0..<$0 + $1]) }
  }

  // MARK: Waiting for one another, and not

  /// Returns when every rank has come here.
  public func barrier() throws(MPIError) {
    try collective("MPI_Barrier") { rfm_mpi_barrier(handle) }
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

  // MARK: Helpers

  private func check(_ code: Int32, _ operation: StaticString) throws(MPIError) {
    try MPIError.check(code, "\(operation)", rank: rank)
  }

  /// Calls an operation that waits for other ranks.
  private func collective(
    _ operation: StaticString, _ call: () -> Int32
  ) throws(MPIError) {
    counter.arrive(at: operation)
    let code = call()
    counter.leave()
    try check(code, operation)
  }

  /// Calls `body` for consecutive parts of `buffer`, none longer than the limit. An empty buffer is
  /// one empty part: collectives must be called all the same.
  private func pieces<T>(
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
  private func withBuffer<T>(
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
