import Foundations

/// Files that are read in one go: a video, or some images of one shard. Finished units are kept until their
/// shard is written, so that a `pack` that was ended goes on after the last of them.
struct PackUnit: Equatable {
  /// Images that are read together.
  static let images = 64

  /// Place in ``PackPlan/shards``.
  let shard: Int
  /// Range in ``PackPlan/items``.
  let items: Range<Int>
}

extension PackPlan {
  /// All units, in the order of the items.
  var units: [PackUnit] {
    shards.enumerated().flatMap { number, shard in
      var units: [PackUnit] = []
      var start = shard.range.lowerBound
      func close(_ end: Int) {
        if start < end { units.append(PackUnit(shard: number, items: start..<end)) }
        start = end
      }
      for item in shard.range {
        if items[item].isVideo {
          close(item)
          close(item + 1)
        } else if item + 1 - start == PackUnit.images {
          close(item + 1)
        }
      }
      close(shard.range.upperBound)
      return units
    }
  }
}
