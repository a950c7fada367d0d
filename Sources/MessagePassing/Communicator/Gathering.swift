import COpenMPI

extension Communicator {
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
}
