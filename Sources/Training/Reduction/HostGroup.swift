import MessagePassing

/// The ranks of one host among those of several: what sums need that are made in memory within hosts and
/// by messages between them.
public struct HostGroup {
  /// Its parts are the arenas of this host's ranks.
  public let memory: HostMemory
  /// This rank's number on its host.
  public let rank: Int
  /// The first rank of each host, which exchange messages; nil on the others.
  let leaders: Communicator?
  /// The ranks of this host.
  private let host: Communicator

  /// Shares memory within each host. Collective.
  ///
  /// - Parameters:
  ///   - bytes: of a rank's part.
  ///   - host: the ranks of this host; nil: as MPI knows it. Others are for tests that pretend to have
  ///     several hosts.
  /// - Returns: nil on every rank if there is nothing to gain (all are on one host, or each on its own), or
  ///   if the system refuses memory on some host.
  /// - Throws: `MPIError`.
  public init?(
    _ communicator: Communicator, bytes: Int, host: Communicator? = nil
  ) throws(MPIError) {
    let ranks = host?.size ?? communicator.nodeSize
    guard try communicator.any(ranks > 1), try communicator.any(ranks < communicator.size) else {
      return nil
    }
    let host = if let host { host } else { try communicator.node() }
    let leaders = try communicator.split(color: host.isRoot ? 0 : nil, key: communicator.rank)
    try self.init(communicator, bytes: bytes, host: host, leaders: leaders)
  }

  private init?(
    _ communicator: Communicator, bytes: Int, host: Communicator, leaders: Communicator?
  ) throws(MPIError) {
    let memory = try host.shareMemory(bytes: bytes)
    guard try communicator.all(memory != nil), let memory else { return nil }
    self.memory = memory
    self.leaders = leaders
    self.host = host
    rank = host.rank
  }

  /// The same ranks with other memory, for another arena. Collective.
  ///
  /// - Returns: nil on every rank if the system refuses memory on some host.
  package func renewed(
    _ communicator: Communicator, bytes: Int
  ) throws(MPIError) -> HostGroup? {
    try HostGroup(communicator, bytes: bytes, host: host, leaders: leaders)
  }

  /// This host as if there were no other, to see what sums within it take, and the communicator of its
  /// ranks. Collective.
  ///
  /// - Returns: nil on every rank if the system refuses memory on some host.
  package func alone(
    _ communicator: Communicator, bytes: Int
  ) throws(MPIError) -> (group: HostGroup, ranks: Communicator)? {
    let first = try host.split(color: host.isRoot ? 0 : nil, key: 0)
    let group = try HostGroup(communicator, bytes: bytes, host: host, leaders: first)
    return group.map { ($0, host) }
  }
}
