/// Tells the images of a training or an evaluation from others: whether all ranks see the same, and
/// whether a run goes on with what it began with.
public struct ShardFingerprint: Hashable, Sendable, CustomStringConvertible {
  public let images: Int
  public let shards: Int
  /// Of sizes, labels and methods of all shards in their order, and some of the images and masks.
  public let digest: UInt64

  public init(images: Int, shards: Int, digest: UInt64) {
    self.images = images
    self.shards = shards
    self.digest = digest
  }

  public var description: String {
    let digits = String(digest, radix: 16)
    return "\(images) image\(images == 1 ? "" : "s") in \(shards) shard\(shards == 1 ? "" : "s") ("
      + String(repeating: "0", count: 16 - digits.count) + digits + ")"
  }
}

extension ShardFingerprint {
  /// The shards of which an image is read: 32 at the most, evenly chosen, so that time is bounded however many
  /// there are.
  package static func chosen(of count: Int) -> [Int] {
    Array(stride(from: 0, to: count, by: max(1, (count + 31) / 32)))
  }
}

extension ShardSet {
  /// Throws what reading an image or a mask throws.
  public func fingerprint() throws -> ShardFingerprint {
    // Of the images' size, and of names, number, labels and methods of every shard.
    var fingerprint = Fingerprint(value: index.header.columns)
    var image = [UInt8](repeating: 0, count: imageSize)
    let chosen = ShardFingerprint.chosen(of: shards.count)
    for i in chosen where shards[i].count > 0 {
      try image.withUnsafeMutableBufferPointer { try readImage(starts[i], into: $0) }
      fingerprint.add(image)
    }
    // Sets without masks keep the fingerprint that they had before there were masks in it.
    for shard in shards.indices where shards[shard].hasMasks { fingerprint.add([shard]) }
    for i in chosen where shards[i].hasMasks {
      // The mask of a real image tells nothing.
      guard let row = shards[i].labels.firstIndex(of: 1) else { continue }
      try image.withUnsafeMutableBufferPointer { try readStoredMask(starts[i] + row, into: $0) }
      fingerprint.add(image[..<(height * width)])
    }
    return ShardFingerprint(images: count, shards: shards.count, digest: fingerprint.value)
  }
}

extension ShardIdentity {
  /// The fingerprint of what several ranks see, each distinct shard once, in whatever order they are.
  public static func fingerprint(of seen: [[ShardIdentity]]) -> ShardFingerprint {
    let distinct = Set(seen.joined()).sorted(by: precedes)
    var fingerprint = Fingerprint()
    for shard in distinct {
      fingerprint.add(shard.name.utf8)
      fingerprint.add([shard.count, Int(truncatingIfNeeded: shard.digest)])
    }
    return ShardFingerprint(
      images: distinct.reduce(0) { $0 + $1.count }, shards: distinct.count,
      digest: fingerprint.value)
  }
}
