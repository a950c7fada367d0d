import Foundations
import MessagePassing
import Tensors

/// Intervals of figures, by drawing sources anew.
///
/// What was drawn at random from the world are sources (people, videos), not frames: those of one video
/// resemble one another, and intervals over frames would be far too narrow. So each draw takes as many
/// sources as there are, with replacement, each with all of its samples (the cluster bootstrap; Field and
/// Welsh, "Bootstrapping clustered data", JRSS B 69, 2007; for ROC curves Rutter, "Bootstrap estimation of
/// diagnostic accuracy with patient-clustered data", Academic Radiology 7, 2000). It does so within strata
/// (Davison and Hinkley, "Bootstrap Methods and their Application", 1997, section 3.2): sources with real
/// samples alone, with fake ones alone, and with both, so that every draw has both classes and a source's
/// real and fake samples stay together.
///
/// The interval is the bias-corrected and accelerated one (BCa; Efron, "Better bootstrap confidence
/// intervals", JASA 82, 1987), since figures near 1 have skewed distributions; `IntervalCoverage` in the
/// tests measures how often it holds the truth. Its acceleration comes of leaving out sources, or groups of
/// them where there are many.
public struct SourceBootstrap: Sendable {
  /// Draws unless said otherwise.
  public static let usualDraws = 2000
  /// Fewer sources of a class than this say too little of all others for an interval.
  public static let leastSources = 20
  /// Likewise for average precision, which lies near 1 and far from normal in few sources: in simulations
  /// intervals of 20 and 50 that should hold the truth in 95 of 100 held it in 92.1 and 92.8.
  public static let leastSourcesOfPrecision = 100
  /// So many real sources times the rate there must be for an interval of a TPR at that FPR: the
  /// threshold rests on the highest scores of that share of them alone.
  public static let leastSourcesAtRate = 10.0
  /// Groups of sources of a stratum that are left out in turn at the most.
  static let mostGroups = 200

  public let draws: Int
  public let seed: UInt64

  /// - Parameters:
  ///   - draws: at least 2; a thousand and more for figures to be told.
  ///   - seed: the same one gives the same intervals, on any number of threads.
  public init(draws: Int = usualDraws, seed: UInt64 = 0) {
    precondition(draws >= 2, "a bootstrap needs at least 2 draws, got \(draws)")
    self.draws = draws
    self.seed = seed
  }

  /// The figures of every draw.
  ///
  /// - Parameters:
  ///   - stream: another number for samples that are drawn independently of others, below 2^32.
  ///   - threshold: as of ``DetectionMetrics``.
  func draw(
    _ samples: ScoredSamples, threshold: Double = 0.5, stream: UInt64 = 0, workers: WorkerPool
  ) -> FigureDraws {
    let (draws, seed) = (draws, seed)
    let figures = WeightedFigures(samples, threshold: threshold)
    let count = samples.sourceCount
    let strata = (1...3).map { classes in
      (0..<count).filter { figures.classes(of: $0) == classes }
    }.filter { !$0.isEmpty }
    let groups = strata.map { sources in
      (0..<min(sources.count, Self.mostGroups)).map { group in
        stride(from: group, to: sources.count, by: Self.mostGroups).map { sources[$0] }
      }
    }
    let leftOut = groups.flatMap { $0 }
    // The draws, then the figures without each group.
    var values = [WeightedFigures.Values](repeating: .zero, count: draws + leftOut.count)
    let weights = UnsafeMutableBufferPointer<Int32>.allocate(capacity: count * workers.count)
    defer { weights.deallocate() }
    values.withUnsafeMutableBufferPointer { values in
      let values = values
      workers.run(values.count) { task, worker in
        let own = UnsafeMutableBufferPointer(
          rebasing: weights[worker * count..<(worker + 1) * count])
        if task < draws {
          own.update(repeating: 0)
          var generator = CounterGenerator(
            seed: seed, epoch: stream, sample: UInt64(task), purpose: .bootstrap)
          for sources in strata {
            for _ in sources { own[sources[generator.below(sources.count)]] += 1 }
          }
        } else {
          own.update(repeating: 1)
          for source in leftOut[task - draws] { own[source] = 0 }
        }
        values[task] = figures.values(UnsafeBufferPointer(own))
        RankStatus.progress()
      }
    }
    let estimate = [Int32](repeating: 1, count: count).withUnsafeBufferPointer {
      figures.values($0)
    }
    var without = values[draws...]
    let influences = groups.map { groups in
      let part = Array(without.prefix(groups.count))
      without = without.dropFirst(groups.count)
      return FigureDraws.influences(part)
    }
    return FigureDraws(
      estimate: estimate, draws: Array(values[..<draws]), influences: influences,
      sources: figures.sourceCounts)
  }
}

/// Figures of draws, of which intervals are made.
package struct FigureDraws: Sendable {
  typealias Values = WeightedFigures.Values

  /// Of the samples as they are.
  var estimate: Values
  var draws: [Values]
  /// Of each stratum how much each source (or group of them) adds to a figure: (n − 1)(mean − figure
  /// without it).
  var influences: [[Values]]
  /// Sources with samples of each class; of several data sets those of the one with the fewest.
  var sources: (real: Int, fake: Int)

  /// Influences by the figures without each part of a stratum.
  static func influences(_ without: [Values]) -> [Values] {
    let mean = without.reduce(.zero, +) / Double(max(1, without.count))
    return without.map { (mean - $0) * Double(without.count - 1) }
  }

  /// Of the mean of figures of data sets that were drawn independently of one another.
  static func mean(_ sets: [FigureDraws]) -> FigureDraws {
    let share = 1 / Double(sets.count)
    return FigureDraws(
      estimate: sets.map(\.estimate).reduce(.zero, +) * share,
      draws: sets[0].draws.indices.map { draw in
        sets.map { $0.draws[draw] }.reduce(.zero, +) * share
      },
      influences: sets.flatMap(\.influences).map { stratum in stratum.map { $0 * share } },
      sources: (sets.map { $0.sources.real }.min()!, sets.map { $0.sources.fake }.min()!))
  }

  /// Of the mean of figures of detectors on the same samples, which are drawn together.
  package static func pairedMean(_ detectors: [FigureDraws]) -> FigureDraws {
    detectors.dropFirst().reduce(detectors[0]) { $0.combined($1, +) }
      .mapped { $0 / Double(detectors.count) }
  }

  /// Of the difference of figures of two detectors on the same samples.
  package func less(_ other: FigureDraws) -> FigureDraws { combined(other, -) }

  private func combined(
    _ other: FigureDraws, _ combine: (Values, Values) -> Values
  ) -> FigureDraws {
    FigureDraws(
      estimate: combine(estimate, other.estimate), draws: zip(draws, other.draws).map(combine),
      influences: zip(influences, other.influences).map { zip($0, $1).map(combine) },
      sources: sources)
  }

  private func mapped(_ change: (Values) -> Values) -> FigureDraws {
    FigureDraws(
      estimate: change(estimate), draws: draws.map(change),
      influences: influences.map { $0.map(change) }, sources: sources)
  }

  /// Intervals of all figures that can have one.
  package var intervals: DetectionIntervals {
    DetectionIntervals(
      byFigure: DetectionFigure.allCases.indices.map { isMeasurable($0) ? interval($0) : nil })
  }

  /// Whether there are sources enough.
  private func isMeasurable(_ figure: Int) -> Bool {
    let fewest = min(sources.real, sources.fake)
    guard fewest >= SourceBootstrap.leastSources else { return false }
    if DetectionFigure.allCases[figure] == .averagePrecision {
      return fewest >= SourceBootstrap.leastSourcesOfPrecision
    }
    guard figure >= 4 else { return true }
    let rate = DetectionMetrics.falsePositiveRates[figure - 4]
    return Double(sources.real) * rate >= SourceBootstrap.leastSourcesAtRate
  }

  /// The BCa interval of a figure; nil where draws don't tell of its spread, as where all are 1.
  func interval(_ figure: Int) -> Interval? {
    let values = draws.map { $0[figure] }.sorted()
    let estimate = estimate[figure]
    guard estimate.isFinite, values.allSatisfy(\.isFinite), values[0] < values[values.count - 1]
    else { return nil }
    let (below, equal) = (values.count { $0 < estimate }, values.count { $0 == estimate })
    let share = (Double(below) + Double(equal) / 2) / Double(values.count)
    guard share > 0, share < 1 else { return nil }
    let bias = NormalDistribution.quantile(share)
    let acceleration = acceleration(figure)
    func end(_ probability: Double) -> Double? {
      let z = bias + NormalDistribution.quantile(probability)
      let scale = 1 - acceleration * z
      guard scale > 0 else { return nil }
      return Self.quantile(values, NormalDistribution.cumulative(bias + z / scale))
    }
    guard let low = end(0.025), let high = end(0.975) else { return nil }
    return Interval(low, high)
  }

  /// Of several samples: Davison and Hinkley, equation 5.28.
  private func acceleration(_ figure: Int) -> Double {
    var (cubes, squares) = (0.0, 0.0)
    for stratum in influences {
      let n = Double(stratum.count)
      for value in stratum.map({ $0[figure] }) {
        cubes += value * value * value / (n * n * n)
        squares += value * value / (n * n)
      }
    }
    return squares > 0 && cubes.isFinite ? cubes / 6 / (squares * squares.squareRoot()) : 0
  }

  /// Of ascending values, interpolated between neighbours as NumPy does.
  private static func quantile(_ values: [Double], _ probability: Double) -> Double {
    let place = probability * Double(values.count - 1)
    let before = min(Int(place), values.count - 2)
    return values[before] + (place - Double(before)) * (values[before + 1] - values[before])
  }
}
