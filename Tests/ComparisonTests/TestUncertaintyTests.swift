import Foundation
import Testing

@testable import Comparison
@testable import Evaluation
@testable import Tensors

/// Intervals over test sources and tests of detectors against what `SourceBootstrap` and `AUCComparison`
/// give when they are applied as the documentation has it: seed by seed, draw by draw.
@Suite struct TestUncertaintyTests {
  private typealias Variant = ComparisonPlan.Variant

  /// 22 people in real images, 21 in fakes by each of two methods, and five in all three, each in two
  /// images: 27 sources of real images and 47 of fakes.
  private static let images: (labels: [UInt8], methods: [Int], sources: [String]) = {
    var images: (labels: [UInt8], methods: [Int], sources: [String]) = ([], [], [])
    for person in 0..<69 {
      let methods = person < 22 ? [0] : person < 43 ? [1] : person < 64 ? [2] : [0, 1, 2]
      for method in methods {
        for _ in 0..<2 {
          images.labels.append(method == 0 ? 0 : 1)
          images.methods.append(method)
          images.sources.append("person \(person)")
        }
      }
    }
    return images
  }()

  /// What a detector that tells fakes by `skill` says of them, in steps, so that some scores are tied.
  private func samples(skill: Double, draws: UInt64) -> ScoredSamples {
    var generator = CounterGenerator(seed: draws, purpose: .bootstrap)
    let scores = Self.images.labels.map { label in
      ((0.7 * generator.uniformDouble() + Double(label) * skill) * 50).rounded() / 50
    }
    return ScoredSamples(
      scores: scores, labels: Self.images.labels, methods: Self.images.methods,
      methodNames: ["real", "blend", "grid"], sources: Self.images.sources)
  }

  /// Two seeds of each method, of which the second is better, but not with network a.
  private func scores(
    _ methods: [String] = ["none", "sfe"], model: String? = nil
  ) -> [Variant: ScoredSamples] {
    var scores: [Variant: ScoredSamples] = [:]
    for (place, method) in methods.enumerated() {
      for seed in [8, 7] {
        let variant = Variant(
          name: "\(model ?? "") \(method) \(seed)", method: method, seed: seed, leftOut: nil,
          model: model)
        let gain = 0.06 * Double(place) * (model == "a" ? -1 : 1)
        scores[variant] = samples(
          skill: 0.2 + gain, draws: UInt64(100 * place + 10 * (model?.count ?? 0) + seed))
      }
    }
    return scores
  }

  private func comparison(
    _ scores: [Variant: ScoredSamples], models: [String?] = [nil], methods: [String]
  ) throws -> Comparison {
    var variants: [VariantResult] = []
    for seed in [7, 8] {
      for model in models {
        for method in methods {
          let (variant, samples) = try #require(
            scores.first {
              $0.key.seed == seed && $0.key.model == model && $0.key.method == method
            })
          let metrics = try EvaluationMetrics(samples)
          variants.append(
            VariantResult(
              variant: variant, step: 9, weights: "w", data: "d", metrics: metrics,
              degraded: ["blur=1.0": metrics], localisation: [:]))
        }
      }
    }
    var comparison = Comparison(
      variants,
      setting: .init(model: "m", crop: 64, steps: 9, globalBatch: 8, probability: 1), data: ["t"])
    TestUncertainty(scores: scores, workers: WorkerPool(threads: 2)).add(to: &comparison)
    return comparison
  }

  private func samples(
    _ scores: [Variant: ScoredSamples], _ method: String, _ seed: Int
  ) throws -> ScoredSamples {
    try #require(scores.first { $0.key.method == method && $0.key.seed == seed }).value
  }

  /// Of what is made of a figure of several detectors on the same images, draw by draw.
  private func interval(
    _ detectors: [ScoredSamples], _ figure: DetectionFigure, _ make: ([Double]) -> Double
  ) throws -> Interval {
    let place = try #require(DetectionFigure.allCases.firstIndex(of: figure))
    let drawn = detectors.map {
      SourceBootstrap().draw($0, workers: WorkerPool(threads: 1))
    }
    var made = drawn[0]
    made.estimate[place] = make(drawn.map { $0.estimate[place] })
    for draw in made.draws.indices {
      made.draws[draw][place] = make(drawn.map { $0.draws[draw][place] })
    }
    for stratum in made.influences.indices {
      for source in made.influences[stratum].indices {
        made.influences[stratum][source][place] = make(
          drawn.map { $0.influences[stratum][source][place] })
      }
    }
    return try #require(made.interval(place))
  }

  private func agree(_ found: Interval?, _ expected: Interval) -> Bool {
    guard let found else { return false }
    return abs(found.low - expected.low) < 1e-12 && abs(found.high - expected.high) < 1e-12
  }

  @Test func intervalsAreThoseOfTheMeanOverTheSeedsDrawByDraw() throws {
    let scores = scores()
    let comparison = try comparison(scores, methods: ["none", "sfe"])
    #expect(comparison.seeds == [7, 8])
    // What the rows are of, and the images that they are about.
    let subjects: [(row: String, method: Int?)] = [("all", nil), ("blend", 1), ("grid", 2)]
    for (name, method) in subjects {
      let detectors = try ["none", "sfe"].flatMap { variant in
        try [7, 8].map { seed in
          let all = try samples(scores, variant, seed)
          return method.map { all.against($0) } ?? all
        }
      }
      for figure in [DetectionFigure.auc, .eer] {
        let rows = comparison.rows.filter {
          $0.table == .detection && $0.row == name && $0.figure == figure.rawValue
        }
        #expect(rows.count == 1, "\(name), \(figure)")
        let row = try #require(rows.first)
        let intervals = try #require(row.intervals)
        #expect(Set(intervals.keys) == ["none", "sfe"], "\(name), \(figure)")
        for (place, variant) in ["none", "sfe"].enumerated() {
          let expected = try interval(
            Array(detectors[2 * place..<2 * place + 2]), figure
          ) { ($0[0] + $0[1]) / 2 }
          #expect(
            agree(intervals[variant], expected),
            "\(name), \(figure) of \(variant): \(intervals), expected \(expected)")
          let mean = try #require(row.spreads[variant]).mean
          #expect(expected.low < mean && mean < expected.high, "\(name), \(figure): \(mean)")
        }
        let differences = try #require(row.testIntervals)
        #expect(Set(differences.keys) == ["none"], "\(name), \(figure)")
        let expected = try interval(detectors, figure) {
          ($0[2] + $0[3]) / 2 - ($0[0] + $0[1]) / 2
        }
        #expect(
          agree(differences["none"], expected),
          "\(name), \(figure), SFE less none: \(differences), expected \(expected)")
        let mean = try #require(row.differences["none"]).spread.mean
        #expect(expected.low < mean && mean < expected.high, "\(name), \(figure): \(mean)")
      }
    }
  }

  /// Figures that rest on too few sources have none, and nor have other tables.
  @Test func intervalsAreOnlyWhereTheyAreMeasured() throws {
    let comparison = try comparison(scores(), methods: ["none", "sfe"])
    var without = 0
    for row in comparison.rows {
      let name = "\(row.table) \(row.row) \(row.figure)"
      switch (row.table, row.figure) {
      case (.detection, "auc"), (.detection, "eer"):
        #expect(row.intervals?.count == 2 && row.testIntervals?.count == 1, "\(name)")
      case (.detection, _):
        #expect(row.intervals == [:] && row.testIntervals == [:], "\(name)")
        without += 1
      default:
        #expect(row.intervals == nil && row.testIntervals == nil, "\(name)")
        without += 1
      }
    }
    #expect(without > 0)
  }

  @Test func testsAreDeLongsOfTheDetectorsOfEachSeed() throws {
    let scores = scores()
    let tests = try #require(try comparison(scores, methods: ["none", "sfe"]).tests)
    #expect(tests.map(\.seed) == [7, 8] && tests.map(\.method) == ["none", "none"])
    for test in tests {
      let (sfe, other) = (
        try samples(scores, "sfe", test.seed), try samples(scores, "none", test.seed)
      )
      let expected = try #require(
        AUCComparison(
          first: sfe.scores, second: other.scores, labels: Self.images.labels,
          sources: sfe.sources))
      #expect(test.model == nil)
      #expect(test.difference == expected.difference, "seed \(test.seed)")
      #expect(test.interval != nil && test.interval == expected.interval, "seed \(test.seed)")
      #expect(test.pValue != nil && test.pValue == expected.pValue, "seed \(test.seed)")
      // SFE's AUC comes first, as pairs of a fake and a real image have it.
      let difference = area(sfe.scores) - area(other.scores)
      #expect(abs(test.difference - difference) < 1e-12, "seed \(test.seed): \(difference)")
    }
    #expect(tests[0].difference != tests[1].difference)
  }

  /// AUC by its definition.
  private func area(_ scores: [Double]) -> Double {
    let labels = Self.images.labels
    let real = scores.indices.filter { labels[$0] == 0 }.map { scores[$0] }
    let fake = scores.indices.filter { labels[$0] == 1 }.map { scores[$0] }
    var won = 0.0
    for fake in fake {
      for real in real { won += fake > real ? 1 : fake == real ? 0.5 : 0 }
    }
    return won / Double(real.count * fake.count)
  }

  /// Each network's are those that it would have alone.
  @Test func networksAreNotMixed() throws {
    let (first, second) = (scores(model: "bb"), scores(model: "a"))
    let both = try comparison(
      first.merging(second) { one, _ in one }, models: ["bb", "a"], methods: ["none", "sfe"])
    #expect(both.models == ["bb", "a"])
    let tests = try #require(both.tests)
    #expect(tests.map(\.model) == ["bb", "bb", "a", "a"] && tests.map(\.seed) == [7, 8, 7, 8])
    for (model, scores) in [("bb", first), ("a", second)] {
      let alone = try comparison(scores, models: [model], methods: ["none", "sfe"])
      #expect(both.rows.filter { $0.model == model } == alone.rows, "\(model)")
      #expect(tests.filter { $0.model == model } == alone.tests, "\(model)")
      let auc = try #require(
        alone.rows.first { $0.table == .detection && $0.row == "all" && $0.figure == "auc" })
      #expect(auc.intervals?.count == 2 && auc.testIntervals?.count == 1, "\(model)")
    }
  }

  @Test func withoutSFENothingIsComparedWithIt() throws {
    let comparison = try comparison(scores(["none", "re"]), methods: ["none", "re"])
    let auc = try #require(
      comparison.rows.first { $0.table == .detection && $0.row == "all" && $0.figure == "auc" })
    #expect(auc.intervals?.count == 2 && auc.testIntervals == nil)
    #expect(comparison.tests == [])
  }

  @Test func comparisonJSONTellsThemByTheirNames() throws {
    struct Written: Decodable {
      struct Row: Decodable {
        let table, row, figure: String
        let intervals, testIntervals: [String: [Double]]?
        enum CodingKeys: String, CodingKey {
          case table, row, figure, intervals
          case testIntervals = "test_intervals"
        }
      }
      struct Test: Decodable {
        let seed: Int
        let method: String
        let difference, pValue: Double
        let interval: [Double]
        enum CodingKeys: String, CodingKey {
          case seed, method, difference, interval
          case pValue = "p_value"
        }
      }
      let rows: [Row]
      let tests: [Test]
    }
    let comparison = try comparison(scores(), methods: ["none", "sfe"])
    let data = try JSONEncoder().encode(comparison)
    #expect(try JSONDecoder().decode(Comparison.self, from: data) == comparison)
    let written = try JSONDecoder().decode(Written.self, from: data)
    func numbers(_ intervals: [String: Interval]?) -> [String: [Double]]? {
      intervals?.mapValues { [$0.low, $0.high] }
    }
    #expect(written.rows.count == comparison.rows.count)
    for (found, row) in zip(written.rows, comparison.rows) {
      #expect(found.intervals == numbers(row.intervals), "\(found.row) \(found.figure)")
      #expect(found.testIntervals == numbers(row.testIntervals), "\(found.row) \(found.figure)")
    }
    let tests = try #require(comparison.tests)
    #expect(written.tests.count == 2 && tests.count == 2)
    for (found, test) in zip(written.tests, tests) {
      #expect(found.seed == test.seed && found.method == test.method)
      #expect(found.difference == test.difference && found.pValue == test.pValue)
      #expect(found.interval == test.interval.map { [$0.low, $0.high] })
    }
  }
}
