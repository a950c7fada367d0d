import Foundations
import MessagePassing

/// Shards that all ranks divide among them, and so must all see alike: a rank whose disk holds others
/// under the same names would take its part of something else.
public enum SharedShards {
  /// Opens the shards that match `patterns`. Collective.
  ///
  /// - Throws: what reading shards throws, ``DifferentShardsError``, `MPIError`.
  public static func open(_ patterns: [String], communicator: Communicator) throws -> ShardSet {
    let set = try ShardSet(patterns: patterns)
    if communicator.size > 1 {
      try agree(on: set.fingerprint(), patterns: patterns, communicator: communicator)
    }
    return set
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
