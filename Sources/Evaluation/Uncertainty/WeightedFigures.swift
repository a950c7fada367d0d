/// The figures of samples of which each counts as often as its source was drawn.
///
/// Sorted once: a draw of sources goes through the scores in their order and sorts nothing, a nanosecond or
/// two a sample. With all weights 1 the figures are those of ``DetectionMetrics``.
struct WeightedFigures: Sendable {
  /// Of each sample, highest score first: its source, shifted left by two; 2 where it is fake; 1 where the
  /// next score is lower.
  private let entries: [UInt32]
  /// How many of them reach the threshold.
  private let called: Int
  /// Of each source.
  private let fakes: [Int32]
  private let reals: [Int32]

  /// In the order of ``DetectionFigure/allCases``; not a number where a figure is not defined.
  typealias Values = SIMD8<Double>

  /// - Parameter samples: with finite scores.
  init(_ samples: ScoredSamples, threshold: Double) {
    precondition(samples.sourceCount < 1 << 30, "a bootstrap takes less than 2^30 sources")
    let scores = samples.scores
    let order = scores.indices.sorted { (scores[$1], $0) < (scores[$0], $1) }
    var fakes = [Int32](repeating: 0, count: samples.sourceCount)
    var reals = fakes
    entries = order.enumerated().map { place, sample in
      let source = samples.sources[sample]
      let isFake = samples.labels[sample] == 1
      if isFake { fakes[source] += 1 } else { reals[source] += 1 }
      let isLast = place + 1 == order.count || scores[order[place + 1]] != scores[sample]
      return UInt32(source) << 2 | (isFake ? 2 : 0) | (isLast ? 1 : 0)
    }
    called = scores.count { $0 >= threshold }
    self.fakes = fakes
    self.reals = reals
  }

  /// Sources with samples of each class.
  var sourceCounts: (real: Int, fake: Int) {
    (reals.count { $0 > 0 }, fakes.count { $0 > 0 })
  }

  /// Which classes a source has here: 1 real, 2 fake, 3 both, 0 none.
  func classes(of source: Int) -> Int { (reals[source] > 0 ? 1 : 0) | (fakes[source] > 0 ? 2 : 0) }

  /// - Parameter weights: how often each source counts.
  func values(_ weights: UnsafeBufferPointer<Int32>) -> Values {
    var (fake, real) = (0, 0)
    for source in weights.indices {
      fake += Int(weights[source]) * Int(fakes[source])
      real += Int(weights[source]) * Int(reals[source])
    }
    guard fake > 0, real > 0 else { return Values(repeating: .nan) }
    let limits = DetectionMetrics.falsePositiveRates.map { rate in
      // As DetectionMetrics compares.
      var most = Int(rate * Double(real)) + 1
      while Double(most) / Double(real) > rate { most -= 1 }
      return most
    }
    return entries.withUnsafeBufferPointer { entries in
      Self.values(entries, called: called, weights, fake: fake, real: real, limits: limits)
    }
  }

  /// - Parameters:
  ///   - fake: the weight of all fake samples, above 0; `real` likewise.
  ///   - limits: the most real samples above a threshold at each of the rates.
  private static func values(
    _ entries: UnsafeBufferPointer<UInt32>, called: Int, _ weights: UnsafeBufferPointer<Int32>,
    fake: Int, real: Int, limits: [Int]
  ) -> Values {
    let (limit0, limit1, limit2) = (limits[0], limits[1], limits[2])
    var (fakeAbove, realAbove, lastFake, lastReal) = (0, 0, 0, 0)
    var (found0, found1, found2) = (0, 0, 0)
    var twiceArea = 0
    var precision = 0.0
    var equalError = Double.nan
    var right = 0
    var place = 0
    // Equal scores are on one side of the threshold.
    for end in [called, entries.count] {
      while place < end {
        let entry = entries[place]
        place += 1
        let weight = Int(weights[Int(entry >> 2)])
        if entry & 2 != 0 { fakeAbove += weight } else { realAbove += weight }
        guard entry & 1 != 0 else { continue }
        twiceArea += (realAbove - lastReal) * (fakeAbove + lastFake)
        if fakeAbove > lastFake {
          precision +=
            Double(fakeAbove - lastFake) * (Double(fakeAbove) / Double(fakeAbove + realAbove))
        }
        if equalError.isNaN, realAbove * fake + fakeAbove * real >= fake * real {
          let before = Double(lastReal * fake + lastFake * real - fake * real)
          let after = Double(realAbove * fake + fakeAbove * real - fake * real)
          let part = before / (before - after)
          equalError = (Double(lastReal) + part * Double(realAbove - lastReal)) / Double(real)
        }
        if realAbove <= limit0 {
          found0 = fakeAbove
          if realAbove <= limit1 { found1 = fakeAbove }
          if realAbove <= limit2 { found2 = fakeAbove }
        }
        (lastFake, lastReal) = (fakeAbove, realAbove)
      }
      if end == called { right = fakeAbove + real - realAbove }
    }
    let (positives, negatives) = (Double(fake), Double(real))
    return Values(
      Double(twiceArea) / 2 / (positives * negatives), precision / positives,
      Double(right) / (positives + negatives), equalError, Double(found0) / positives,
      Double(found1) / positives, Double(found2) / positives, 0)
  }
}
