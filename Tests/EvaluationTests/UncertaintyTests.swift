import Foundation
import Testing

@testable import Evaluation
@testable import Tensors

/// What Tests/Oracle/uncertainty.py writes.
struct UncertaintyGolden: Decodable {
  struct BootstrapCase: Decodable {
    var figure: String
    var real: [Double]
    var fake: [Double]
    var draws: [Double]
    var interval: [Double]
  }
  struct Comparison: Decodable {
    var first: [Double]
    var second: [Double]
    var labels: [UInt8]
    var sources: [Int]?
    var aucs: [Double]
    var covariance: [[Double]]
    var error: Double
    var z: Double
    var p: Double
    var interval: [Double]
  }
  struct Fit: Decodable {
    var differences: [Double]
    var labels: [UInt8]
    var temperature: Double
    var before: Double
    var after: Double
    var errors: [Double]
  }
  var intervals: [BootstrapCase]
  var comparisons: [Comparison]
  var fits: [Fit]

  static func read() throws -> UncertaintyGolden {
    let url = try #require(
      Bundle.module.url(forResource: "uncertainty", withExtension: "json", subdirectory: "Golden"))
    return try JSONDecoder().decode(UncertaintyGolden.self, from: Data(contentsOf: url))
  }
}

@Suite struct UncertaintyTests {
  private func samples(
    _ scores: [Double], _ labels: [UInt8], sources: [String]? = nil
  ) -> ScoredSamples {
    ScoredSamples(
      scores: scores, labels: labels, methods: labels.map { Int($0) },
      methodNames: ["real", "swap"], sources: sources)
  }

  /// 300 images of 60 sources with real and fake images, or one kind, many of them tied.
  private func someSamples() -> ScoredSamples {
    var generator = CounterGenerator(seed: 3, purpose: .bootstrap)
    var (scores, labels, sources): ([Double], [UInt8], [String]) = ([], [], [])
    for image in 0..<300 {
      let source = image % 60
      let label: UInt8 = source < 20 ? 0 : source < 40 ? 1 : image < 150 ? 0 : 1
      labels.append(label)
      scores.append(
        (((generator.normal() + Double(label)) * 4).rounded() / 4 + 3).magnitude / 8)
      sources.append("source \(source)")
    }
    return samples(scores, labels, sources: sources)
  }

  @Test func weightedFiguresAreThoseOfSamplesThatAreThereSoOften() throws {
    let samples = someSamples()
    let figures = WeightedFigures(samples, threshold: 0.45)
    var generator = CounterGenerator(seed: 8, purpose: .bootstrap)
    for trial in 0..<20 {
      let weights = (0..<samples.sourceCount).map { _ in
        trial == 0 ? 1 : Int32(generator.below(4))
      }
      let values = weights.withUnsafeBufferPointer { figures.values($0) }
      let places = samples.scores.indices.flatMap {
        [Int](repeating: $0, count: Int(weights[samples.sources[$0]]))
      }
      let repeated = samples.keeping(places)
      let expected = try DetectionMetrics(
        scores: repeated.scores, labels: repeated.labels, threshold: 0.45)
      for (place, figure) in DetectionFigure.allCases.enumerated() {
        let value = try #require(expected[figure])
        #expect((values[place] - value).magnitude < 1e-12, "\(figure), trial \(trial)")
      }
    }
  }

  @Test func intervalsOfGivenDrawsAreThoseOfSciPy() throws {
    let workers = WorkerPool(threads: 1)
    for golden in try UncertaintyGolden.read().intervals {
      let figure = try #require(DetectionFigure(rawValue: golden.figure))
      let place = try #require(DetectionFigure.allCases.firstIndex(of: figure))
      let labels =
        [UInt8](repeating: 0, count: golden.real.count)
        + [UInt8](repeating: 1, count: golden.fake.count)
      var drawn = SourceBootstrap(draws: 10).draw(
        samples(golden.real + golden.fake, labels), workers: workers)
      drawn.draws = golden.draws.map { FigureDraws.Values(repeating: $0) }
      let interval = try #require(drawn.interval(place))
      #expect((interval.low - golden.interval[0]).magnitude < 1e-9, "\(golden.figure)")
      #expect((interval.high - golden.interval[1]).magnitude < 1e-9, "\(golden.figure)")
    }
  }

  @Test func theSameSeedGivesTheSameIntervalsOnAnyNumberOfThreads() throws {
    let samples = someSamples()
    func intervals(_ threads: Int, seed: UInt64 = 4, stream: UInt64 = 0) -> DetectionIntervals {
      SourceBootstrap(draws: 400, seed: seed).draw(
        samples, stream: stream, workers: WorkerPool(threads: threads)
      ).intervals
    }
    let one = intervals(1)
    #expect(one.auc != nil && one == intervals(3))
    #expect(one != intervals(1, seed: 5) && one != intervals(1, stream: 1))
  }

  /// Each source stays whole, and each draw has both classes, however few sources of one there are.
  @Test func drawsTakeWholeSourcesWithinTheirStratum() {
    // One source has all real images: it is in every draw, so what is drawn are the fakes.
    let scores = [0.2, 0.6, 0.1, 0.3, 0.7, 0.9, 0.9]
    let drawn = SourceBootstrap(draws: 300).draw(
      samples(
        scores, [0, 0, 1, 1, 1, 1, 1], sources: ["r", "r", "a", "a", "b", "c", "c"]),
      workers: WorkerPool(threads: 1))
    // AUC of a is 0.25, of b and c 1: sums of three sources with 2, 1 and 2 images.
    var possible: Set<Double> = []
    for a in 0...3 {
      for b in 0...3 - a {
        let (ofA, others) = (Double(2 * a), Double(b + 2 * (3 - a - b)))
        possible.insert(((ofA * 0.25 + others) / (ofA + others) * 1e9).rounded())
      }
    }
    #expect(Set(drawn.draws.map { ($0[0] * 1e9).rounded() }) == possible)
  }

  @Test func whatTheDataDoNotTellHasNoInterval() throws {
    let workers = WorkerPool(threads: 1)
    func intervals(_ each: Int, gap: Double) -> DetectionIntervals {
      var generator = CounterGenerator(seed: 1, purpose: .bootstrap)
      return SourceBootstrap(draws: 300).draw(
        samples(
          (0..<2 * each).map { generator.uniformDouble() + Double($0 % 2) * gap },
          (0..<2 * each).map { UInt8($0 % 2) }), workers: workers
      ).intervals
    }
    // Told apart without a mistake: draws all say 1, which is no reason to be sure.
    let perfect = intervals(100, gap: 2)
    #expect(perfect.auc == nil && perfect.averagePrecision == nil && perfect.eer == nil)
    let least = SourceBootstrap.leastSources
    #expect(intervals(least - 1, gap: 0.3).auc == nil)
    #expect(intervals(least, gap: 0.3).auc != nil)
    // The threshold of a low false positive rate rests on few sources.
    let few = intervals(100, gap: 0.3)
    #expect(few.truePositiveRates == [nil, nil, nil] && few.averagePrecision != nil)
    let fewer = intervals(SourceBootstrap.leastSourcesOfPrecision - 1, gap: 0.3)
    #expect(fewer.averagePrecision == nil && fewer.auc != nil)
    let many = intervals(Int(SourceBootstrap.leastSourcesAtRate * 100), gap: 0.3)
    #expect(many.truePositiveRates[0] != nil && many.truePositiveRates[1] == nil)
  }

  @Test func metricsOfSetsHaveIntervalsWhereAskedAndReadBack() throws {
    let samples = someSamples()
    let metrics = try EvaluationMetrics(
      samples,
      bootstrap: .init(SourceBootstrap(draws: 200), workers: WorkerPool(threads: 1)))
    let auc = try #require(metrics.overall.auc)
    let interval = try #require(metrics.overall.intervals?.auc)
    #expect(interval.low < auc && auc < interval.high)
    #expect(metrics.methods["swap"]?.intervals?.auc != nil)
    #expect(metrics.sources?.overall.intervals?.eer != nil)
    #expect(try EvaluationMetrics(samples).overall.intervals == nil)
    let data = try JSONEncoder().encode(metrics)
    #expect(try JSONDecoder().decode(EvaluationMetrics.self, from: data) == metrics)
  }

  // MARK: DeLong

  @Test func comparedAUCsAgreeWithDeLongAndObuchowski() throws {
    for golden in try UncertaintyGolden.read().comparisons {
      let comparison = try #require(
        AUCComparison(
          first: golden.first, second: golden.second, labels: golden.labels,
          sources: golden.sources ?? Array(golden.labels.indices)))
      let name = Comment("\(golden.labels.count) samples")
      for (value, expected) in [
        (comparison.first, golden.aucs[0]), (comparison.second, golden.aucs[1]),
        (comparison.firstVariance, golden.covariance[0][0]),
        (comparison.secondVariance, golden.covariance[1][1]),
        (comparison.covariance, golden.covariance[0][1]),
        (comparison.standardError, golden.error), (comparison.z ?? .nan, golden.z),
        (comparison.pValue ?? .nan, golden.p),
        (comparison.interval?.low ?? .nan, golden.interval[0]),
        (comparison.interval?.high ?? .nan, golden.interval[1]),
      ] {
        #expect((value - expected).magnitude < 1e-9, name)
      }
    }
  }

  @Test func detectorsThatOrderAlikeDoNotDifferAndOneSourceTellsNothing() throws {
    let (scores, labels): ([Double], [UInt8]) = ([0.1, 0.4, 0.3, 0.8], [0, 1, 0, 1])
    let same = try #require(
      AUCComparison(
        first: scores, second: scores.map { $0 * $0 }, labels: labels, sources: [0, 1, 2, 3]))
    #expect(same.difference == 0 && same.pValue == nil && same.interval == nil)
    #expect(
      AUCComparison(first: scores, second: scores, labels: labels, sources: [0, 1, 0, 2]) == nil)
  }
}
