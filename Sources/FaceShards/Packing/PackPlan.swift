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
  ///   - framesPerVideo: faces that a video is expected to give.
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
