/// A smaller number of images that stand for all of them.
enum EvenSample {
  /// About `limit` of the samples: of each group as many as its share, yet at least `least` where it
  /// has so many, at even distances. All of them if they are no more than `limit`. Ascending where
  /// the samples are.
  static func choose(
    _ samples: [Int], limit: Int, least: Int = 50, group: (Int) -> Int
  ) -> [Int] {
    precondition(limit >= 1, "a limit of at least one image was expected, got \(limit)")
    guard samples.count > limit else { return samples }
    var sizes: [Int: Int] = [:]
    for sample in samples { sizes[group(sample), default: 0] += 1 }
    let wanted = sizes.mapValues { size in
      min(size, max(least, Int(Double(size) * Double(limit) / Double(samples.count))))
    }
    var seen: [Int: Int] = [:]
    return samples.filter { sample in
      let key = group(sample)
      let (place, size, count) = (seen[key, default: 0], sizes[key]!, wanted[key]!)
      seen[key] = place + 1
      // Where the multiples of count / size pass a whole number.
      return (place + 1) * count / size > place * count / size
    }
  }
}
