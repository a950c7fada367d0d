import Foundations
import Tensors

/// Which image goes into which shard: decided from names alone, before any is decoded, so that it
/// does not depend on ranks or threads.
struct PackPlan: Equatable {
  struct Item: Equatable {
    /// Below the input folder.
    var path: BytePath
    var method: Int
    var source: Int
    var isVideo = false
    /// The file that shows what was forged.
    var mask: BytePath?
  }

  struct Shard: Equatable {
    /// Place in ``splits``.
    var split: Int
    /// Range in ``items``.
    var range: Range<Int>
  }

  var methods: [String]
  var sources: [String]
  var splits: [String]
  /// In the order they are stored.
  var items: [Item]
  var shards: [Shard]
  var notes: [String]

  /// - Parameters:
  ///   - assignment: every candidate has a split.
  ///   - framesPerVideo: images that a video is expected to give.
  init(
    _ assignment: SplitAssignment, seed: UInt64, imagesPerShard: Int, framesPerVideo: Int = 1
  ) {
    methods = assignment.methods
    sources = assignment.sources
    splits = assignment.splits
    notes = assignment.notes
    items = []
    shards = []
    for split in splits.indices {
      var members = assignment.candidates.indices.filter {
        assignment.splitOf[$0] == split
      }
      // Mixed, so that each shard holds every class: a rank may see only some shards.
      var order = CounterGenerator(seed: seed, epoch: UInt64(1 + split), purpose: .split)
      for last in stride(from: members.count - 1, to: 0, by: -1) {
        members.swapAt(last, order.below(last + 1))
      }
      let start = items.count
      items += members.map {
        let candidate = assignment.candidates[$0]
        return Item(
          path: candidate.path, method: candidate.method, source: candidate.source,
          isVideo: candidate.kind == .video, mask: candidate.mask)
      }
      shards += Self.cut(
        start..<items.count, faces: { items[$0].isVideo ? framesPerVideo : 1 },
        perShard: imagesPerShard
      ).map { Shard(split: split, range: $0) }
    }
  }

  /// Cuts a split into shards that are about equally large and hold about `perShard` faces at most.
  private static func cut(_ items: Range<Int>, faces: (Int) -> Int, perShard: Int) -> [Range<Int>] {
    let total = items.reduce(0) { $0 + faces($1) }
    let count = max(1, (total + perShard - 1) / perShard)
    var ranges: [Range<Int>] = []
    var (start, before) = (items.lowerBound, 0)
    for item in items {
      before += faces(item)
      let end = total * (ranges.count + 1) / count
      if before >= end || item + 1 == items.upperBound {
        ranges.append(start..<item + 1)
        start = item + 1
      }
    }
    return ranges
  }
}

/// A plan as bytes, to hand it to the other ranks. Names and paths hold no zero byte, so that every
/// field can end with one.
extension PackPlan {
  var encoded: [UInt8] {
    var bytes: [UInt8] = []
    func put(_ field: [UInt8]) {
      bytes += field
      bytes.append(0)
    }
    func put(_ number: Int) { put(Array(String(number).utf8)) }
    for list in [methods, sources, splits, notes] {
      put(list.count)
      for text in list { put(Array(text.utf8)) }
    }
    put(shards.count)
    for shard in shards {
      put(shard.split)
      put(shard.range.lowerBound)
      put(shard.range.upperBound)
    }
    put(items.count)
    for item in items {
      put(item.method)
      put(item.source)
      put(item.isVideo ? 1 : 0)
      put(item.path.bytes)
      put(item.mask?.bytes ?? [])
    }
    return bytes
  }

  init(decoding bytes: [UInt8]) {
    var fields = bytes.split(separator: 0, omittingEmptySubsequences: false).makeIterator()
    func field() -> [UInt8] { Array(fields.next()!) }
    func number() -> Int { Int(String(decoding: field(), as: UTF8.self))! }
    func list() -> [String] { (0..<number()).map { _ in String(decoding: field(), as: UTF8.self) } }
    methods = list()
    sources = list()
    splits = list()
    notes = list()
    shards = (0..<number()).map { _ in
      let split = number()
      let low = number()
      return Shard(split: split, range: low..<number())
    }
    items = (0..<number()).map { _ in
      let method = number()
      let source = number()
      let isVideo = number() == 1
      let path = BytePath(bytes: field())
      let mask = field()
      return Item(
        path: path, method: method, source: source, isVideo: isVideo,
        mask: mask.isEmpty ? nil : BytePath(bytes: mask))
    }
  }
}
