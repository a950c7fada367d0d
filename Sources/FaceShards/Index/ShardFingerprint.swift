/// Tells the images of a training or an evaluation from others: whether all ranks see the same, and
/// whether a run goes on with what it began with.
public struct ShardFingerprint: Hashable, Sendable, CustomStringConvertible {
  public let images: Int
  public let shards: Int
  /// Of sizes, labels and methods of all shards in their order, and some of the images.
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

extension ShardSet {
  /// Shards of which an image is read, evenly chosen: time is bounded however many there are.
  private static let looked = 32

  /// Throws what reading an image throws.
  public func fingerprint() throws -> ShardFingerprint {
    var fingerprint = Fingerprint()
    fingerprint.add([height, width])
    for shard in shards {
      for name in shard.methodNames {
        fingerprint.add([name.utf8.count])
        fingerprint.add(name.utf8)
      }
      fingerprint.add([shard.count])
      fingerprint.add(shard.labels)
      fingerprint.add(shard.methods)
    }
    var image = [UInt8](repeating: 0, count: imageSize)
    for i in stride(from: 0, to: shards.count, by: (shards.count + Self.looked - 1) / Self.looked)
    where shards[i].count > 0 {
      try image.withUnsafeMutableBufferPointer { try readImage(starts[i], into: $0) }
      fingerprint.add(image)
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
