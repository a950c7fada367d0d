import Foundations
import MessagePassing

/// Shards that all ranks divide among them, and so must all see alike: a rank whose disk holds others
/// under the same names would take its part of something else.
public enum SharedShards {
  /// Opens the shards that match `patterns`: one rank of each host validates them, and the others get its
  /// index through the host's memory. Collective.
  ///
  /// - Parameter advice: what else can be done about a difference.
  /// - Returns: the shards, and their fingerprint.
  /// - Throws: what reading shards throws on any rank, ``DifferentShardsError``, `MPIError`.
  public static func open(
    _ patterns: [String], advice: String = "", communicator: Communicator
  ) throws -> (set: ShardSet, fingerprint: ShardFingerprint) {
    let set = try shared(patterns, communicator).set
    guard communicator.size > 1 else { return (set, try set.fingerprint()) }
    let fingerprint = try communicator.agreed { try set.fingerprint() }
    try agree(on: fingerprint, patterns: patterns, advice: advice, communicator: communicator)
    return (set, fingerprint)
  }

  /// Microseconds between looks of those who wait for others to validate shards: they may be many more than
  /// the host has processors.
  private static let look: UInt32 = 10_000

  /// This rank's part of the shards that match `patterns` on its host, which may hold others than the rest
  /// (`data.assignment: shard`). Collective.
  ///
  /// - Returns: the part, and the fingerprint of what all ranks see.
  /// - Throws: what reading shards throws on any rank, `MPIError`.
  public static func assigned(
    _ patterns: [String], communicator: Communicator
  ) throws -> (set: ShardSet, fingerprint: ShardFingerprint) {
    let (all, node) = try shared(patterns, communicator)
    // What a host's first rank has found is that of all who have its index.
    let isOwn = node?.isRoot ?? true
    let found = try communicator.agreed {
      isOwn ? try ShardIdentity.encode(all.identities()) : []
    }
    let mine = try node?.broadcast(found, from: 0) ?? found
    var digest = ContentsDigest()
    digest.add(mine)
    // A list goes round once, however many ranks have it.
    let digests = try communicator.allGather([digest.value])
    var lists: [Int] = []
    var firsts: [UInt64: Int] = [:]
    var seen: [[ShardIdentity]] = []
    for (rank, digest) in digests.enumerated() {
      if firsts[digest] == nil {
        firsts[digest] = seen.count
        seen.append(try ShardIdentity.decode(communicator.broadcast(mine, from: rank)))
      }
      lists.append(firsts[digest]!)
    }
    let part = try communicator.agreed {
      try all.assigned(rank: communicator.rank, seen: seen, lists: lists)
    }
    return (part, ShardIdentity.fingerprint(of: seen))
  }

  /// - Returns: the shards, and the ranks that have their index from one of them; nil for this rank alone.
  private static func shared(
    _ patterns: [String], _ communicator: Communicator
  ) throws -> (set: ShardSet, ranks: Communicator?) {
    guard communicator.size > 1 else { return (try ShardSet(patterns: patterns), nil) }
    // Where ranks have their own shards they may call them as they like.
    var digest = ContentsDigest()
    for pattern in patterns { digest.add("\(pattern.utf8.count) \(pattern)") }
    let host = try communicator.node()
    let names = try host.allGather([digest.value])
    let node = try host.split(color: names.firstIndex(of: digest.value)!, key: host.rank)!
    let made = Result { node.isRoot ? try ShardIndex.bytes(patterns: patterns) : [] }
    try communicator.startBarrier().wait(sleeping: look)
    let bytes = try communicator.agreed { try made.get() }
    let shared = try node.shareBytes(bytes)
    let index = try ShardIndex(ShardIndex.Memory(shared.bytes, owner: shared))
    // Ranks of one host may see other files under the same names, in containers.
    let isSame = node.isRoot || index.isSeenHere
    let set = try communicator.agreed {
      isSame ? try ShardSet(index) : try ShardSet(patterns: patterns)
    }
    let ranks = try node.split(color: isSame ? 0 : 1, key: node.rank)
    return (set, isSame ? ranks : nil)
  }

  /// Compares what the ranks see. Collective.
  ///
  /// - Parameter advice: what else can be done about a difference.
  /// - Throws: ``DifferentShardsError``, the same on all ranks; `MPIError`.
  public static func agree(
    on fingerprint: ShardFingerprint, patterns: [String], advice: String = "",
    communicator: Communicator
  ) throws {
    let all = try communicator.allGather([
      UInt64(fingerprint.images), UInt64(fingerprint.shards), fingerprint.digest,
    ])
    let seen = stride(from: 0, to: all.count, by: 3).map {
      ShardFingerprint(images: Int(all[$0]), shards: Int(all[$0 + 1]), digest: all[$0 + 2])
    }
    guard let rank = seen.firstIndex(where: { $0 != seen[0] }) else { return }
    let host = try communicator.allGather(communicator.hostName)[rank]
    throw DifferentShardsError(
      patterns: patterns, rank: rank, host: host, first: seen[0], other: seen[rank],
      advice: advice)
  }
}

/// Ranks see different shards under the same names.
public struct DifferentShardsError: ReportableError {
  let patterns: [String]
  let rank: Int
  let host: String
  let first: ShardFingerprint
  let other: ShardFingerprint
  let advice: String

  public var description: String {
    "\(patterns.joined(separator: ", ")): rank \(rank) on \(host) sees \(other), rank 0 \(first); "
      + "share the files, or copy them to every host" + advice
  }

  public var exitStatus: ExitStatus { .badData }
}
