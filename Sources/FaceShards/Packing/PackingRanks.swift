/// What packing needs of the ranks it runs on.
public protocol PackingRanks {
  var rank: Int { get }
  var size: Int { get }
  /// Rank 0's bytes on every rank.
  func broadcast(_ bytes: [UInt8]) throws -> [UInt8]
  /// Every rank's bytes, in rank order, on every rank.
  func gather(_ bytes: [UInt8]) throws -> [[UInt8]]
}

/// A job of one process.
public struct SingleRank: PackingRanks {
  public let rank = 0
  public let size = 1
  public init() {}
  public func broadcast(_ bytes: [UInt8]) -> [UInt8] { bytes }
  public func gather(_ bytes: [UInt8]) -> [[UInt8]] { [bytes] }
}
