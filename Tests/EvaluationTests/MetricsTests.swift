import Foundation
import Testing

@testable import Evaluation
@testable import Networks

/// What Tests/Oracle/metrics.py writes.
private struct MetricsGolden: Decodable {
  struct Expected: Decodable {
    var real: Int
    var fake: Int
    var accuracy: Double
    var auc: Double?
    var ap: Double?
    var eer: Double?
    var tpr: [Double?]
  }
  struct Case: Decodable {
    var name: String
    var scores: [Double]
    var labels: [UInt8]
    var expected: Expected
  }
  struct Grouped: Decodable {
    var scores: [Double]
    var labels: [UInt8]
    var methods: [Int]
    var names: [String]
    var sources: [String]
    var overall: Expected
    var perMethod: [String: Expected]
    var sourceOverall: Expected
    var sourcePerMethod: [String: Expected]
  }
  var cases: [Case]
  var large: Expected
  var grouped: Grouped

  static func read() throws -> MetricsGolden {
    let url = try #require(
      Bundle.module.url(forResource: "metrics", withExtension: "json", subdirectory: "Golden"))
    return try JSONDecoder().decode(MetricsGolden.self, from: Data(contentsOf: url))
  }
}

private func agree(_ a: Double?, _ b: Double?, within tolerance: Double = 1e-9) -> Bool {
  switch (a, b) {
  case (nil, nil): true
  case (let a?, let b?): (a - b).magnitude <= tolerance
  default: false
  }
}

private func expectAgreement(
  _ metrics: DetectionMetrics, _ expected: MetricsGolden.Expected, _ name: Comment
) {
  #expect(metrics.real == expected.real, name)
  #expect(metrics.fake == expected.fake, name)
  #expect(agree(metrics.accuracy, expected.accuracy), name)
  #expect(agree(metrics.auc, expected.auc), name)
  #expect(agree(metrics.averagePrecision, expected.ap), name)
  #expect(agree(metrics.eer, expected.eer), name)
  for (rate, reference) in zip(metrics.truePositiveRates, expected.tpr) {
    #expect(agree(rate, reference), name)
  }
}

@Suite struct MetricsTests {
  @Test func metricsAgreeWithScikitLearnTiesAndSingleClassesIncluded() throws {
    for expected in try MetricsGolden.read().cases {
      let metrics = try DetectionMetrics(scores: expected.scores, labels: expected.labels)
      expectAgreement(metrics, expected.expected, Comment(rawValue: expected.name))
    }
  }

  @Test func lowFalsePositiveRatesAgreeWithScikitLearnOnManyImages() throws {
    let labels = (0..<60_000).map { UInt8($0 * 7 % 10 < 3 ? 1 : 0) }
    let scores = (0..<60_000).map {
      Double($0 * 7919 % 100_003) / 131_072 + Double(labels[$0]) * 0.375
    }
    let metrics = try DetectionMetrics(scores: scores, labels: labels)
    expectAgreement(metrics, try MetricsGolden.read().large, "large")
    #expect(metrics.truePositiveRates.compactMap { $0 }.allSatisfy { $0 > 0 && $0 < 1 })
  }

  @Test func methodsAndSourcesAgreeWithScikitLearn() throws {
    let expected = try MetricsGolden.read().grouped
    let metrics = try EvaluationMetrics(
      scores: expected.scores, labels: expected.labels, methods: expected.methods,
      methodNames: expected.names, sources: expected.sources)
    expectAgreement(metrics.overall, expected.overall, "overall")
    let sources = try #require(metrics.sources)
    expectAgreement(sources.overall, expected.sourceOverall, "sources")
    #expect(Set(metrics.methods.keys) == ["swap", "mouth", "eyes"])
    for (name, reference) in expected.perMethod {
      expectAgreement(try #require(metrics.methods[name]), reference, "\(name)")
    }
    for (name, reference) in expected.sourcePerMethod {
      expectAgreement(try #require(sources.methods[name]), reference, "sources, \(name)")
    }
  }

  @Test func noImagesDefineNothing() throws {
    let metrics = try DetectionMetrics(scores: [], labels: [])
    #expect(metrics.real == 0 && metrics.fake == 0)
    #expect(metrics.auc == nil && metrics.averagePrecision == nil && metrics.accuracy == nil)
    #expect(metrics.eer == nil && metrics.truePositiveRates == [nil, nil, nil])
    #expect(metrics.recall == nil && metrics.falseAlarmRate == nil)
  }

  @Test func scoresThatAreNotFiniteAreAnErrorThatNamesTheImage() {
    for bad in [Double.nan, .infinity, -.infinity] {
      #expect(throws: MetricsError.notFinite(image: 2)) {
        try DetectionMetrics(scores: [0.1, 0.2, bad, bad], labels: [0, 1, 0, 1])
      }
    }
    #expect("\(MetricsError.notFinite(image: 2))".contains("image 2"))
    #expect(MetricsError.notFinite(image: 2).exitStatus == .badData)
  }

  @Test func recallAndFalseAlarmsAreCountedAtTheThreshold() throws {
    let scores = [0.2, 0.5, 0.7, 0.4, 0.5]
    let labels: [UInt8] = [0, 0, 1, 1, 1]
    let half = try DetectionMetrics(scores: scores, labels: labels)
    #expect(half.recall == 2.0 / 3 && half.falseAlarmRate == 0.5 && half.accuracy == 0.6)
    let low = try DetectionMetrics(scores: scores, labels: labels, threshold: 0.3)
    #expect(low.recall == 1 && low.falseAlarmRate == 0.5 && low.accuracy == 0.8)
    #expect(low.auc == half.auc)
  }

  @Test func metricsDependOnNothingButTheOrderOfScores() throws {
    let expected = try #require(MetricsGolden.read().cases.first { $0.name == "tied 101" })
    let plain = try DetectionMetrics(scores: expected.scores, labels: expected.labels)
    let moved = try DetectionMetrics(
      scores: expected.scores.reversed().map { $0 * $0 * $0 },
      labels: expected.labels.reversed(), threshold: 0.125)
    #expect(moved.auc == plain.auc && moved.eer == plain.eer)
    #expect(moved.averagePrecision == plain.averagePrecision)
    #expect(moved.truePositiveRates == plain.truePositiveRates)
  }

  @Test func withoutSourceNamesThereAreNoSourceMetrics() throws {
    for sources in [nil, ["", ""]] as [[String]?] {
      let metrics = try EvaluationMetrics(
        scores: [0.1, 0.9], labels: [0, 1], methods: [0, 1], methodNames: ["real", "swap"],
        sources: sources)
      #expect(metrics.sources == nil)
    }
  }

  @Test func aSourcesRealAndFakeImagesAreJudgedApart() throws {
    let metrics = try EvaluationMetrics(
      scores: [0.1, 0.3, 0.9, 0.7, 0.6], labels: [0, 0, 1, 1, 1], methods: [0, 0, 1, 1, 2],
      methodNames: ["real", "swap", "eyes"], sources: ["a", "a", "a", "a", "a"])
    let sources = try #require(metrics.sources)
    #expect(sources.overall.real == 1 && sources.overall.fake == 2)
    #expect(sources.methods["swap"]?.fake == 1 && sources.methods["eyes"]?.fake == 1)
  }

  @Test func jsonHasEveryValueAndNullWhereThereIsNone() throws {
    let metrics = try EvaluationMetrics(
      scores: [0.1, 0.2], labels: [0, 0], methods: [0, 0], methodNames: ["real"])
    let encoder = JSONEncoder()
    encoder.outputFormatting = .sortedKeys
    let data = try encoder.encode(metrics)
    #expect(
      String(decoding: data, as: UTF8.self)
        == #"{"accuracy":1,"ap":null,"auc":null,"eer":null,"fake":0,"false_alarm_rate":0,"#
        + #""methods":{},"real":2,"recall":null,"sources":null,"threshold":0.5,"#
        + #""tpr_at_fpr":{"1e-2":null,"1e-3":null,"1e-4":null}}"#)
  }

  @Test func jsonReadsBackTheSame() throws {
    let golden = try MetricsGolden.read().grouped
    for sources in [nil, golden.sources] {
      let metrics = try EvaluationMetrics(
        scores: golden.scores, labels: golden.labels, methods: golden.methods,
        methodNames: golden.names, sources: sources)
      let data = try JSONEncoder().encode(metrics)
      #expect(try JSONDecoder().decode(EvaluationMetrics.self, from: data) == metrics)
    }
  }

  @Test func theROCCurveGoesFromCornerToCornerAndHoldsTheArea() throws {
    for expected in try MetricsGolden.read().cases {
      guard let auc = expected.expected.auc else { continue }
      let curve = ROCCurve(try RankedScores(scores: expected.scores, labels: expected.labels))
      let first = try #require(curve.points.first)
      let last = try #require(curve.points.last)
      #expect(first.falsePositiveRate == 0 && first.truePositiveRate == 0)
      #expect(last.falsePositiveRate == 1 && last.truePositiveRate == 1)
      var area = 0.0
      for (a, b) in zip(curve.points, curve.points.dropFirst()) {
        #expect(b.falsePositiveRate >= a.falsePositiveRate)
        #expect(b.truePositiveRate >= a.truePositiveRate)
        area +=
          (b.falsePositiveRate - a.falsePositiveRate)
          * (a.truePositiveRate + b.truePositiveRate) / 2
      }
      #expect((area - auc).magnitude < 1e-9)
    }
  }

  @Test func thinningKeepsTheCurveWithinItsResolution() throws {
    let labels = (0..<60_000).map { UInt8($0 * 7 % 10 < 3 ? 1 : 0) }
    let scores = (0..<60_000).map {
      Double($0 * 7919 % 100_003) / 131_072 + Double(labels[$0]) * 0.375
    }
    let ranked = try RankedScores(scores: scores, labels: labels)
    let whole = ROCCurve(ranked)
    let thin = whole.thinned(resolution: 100)
    #expect(whole.points.count > 10_000 && thin.points.count < 1000)
    #expect(thin.points.first == whole.points.first && thin.points.last == whole.points.last)
    // Each kept point goes on along an axis, or no further than the resolution along one of them;
    // what was left out lies in the box between its neighbours.
    for (a, b) in zip(thin.points, thin.points.dropFirst()) {
      let across = b.falsePositiveRate - a.falsePositiveRate
      let up = b.truePositiveRate - a.truePositiveRate
      #expect(min(across, up) <= 0.0101)
    }
    let kept = Set(thin.points.map(\.threshold))
    #expect(kept.isSubset(of: Set(whole.points.map(\.threshold))))
  }

  @Test func fieldsOfATableAreQuotedWhereTheyNeedIt() {
    for plain in ["", "faces/a b.png", "Ä\u{301}"] {
      #expect(ScoresTable.field(plain) == plain)
    }
    for (text, quoted) in [
      ("a,b", "\"a,b\""), ("say \"x\"", "\"say \"\"x\"\"\""), ("a\nb", "\"a\nb\""),
      ("a\r\nb", "\"a\r\nb\""),
      // One character to the eye: a quotation mark with an accent.
      ("a\"\u{301}b", "\"a\"\"\u{301}b\""), (",\u{301}", "\",\u{301}\""),
    ] {
      #expect(Array(ScoresTable.field(text).unicodeScalars) == Array(quoted.unicodeScalars))
    }
  }

  @Test func confidentLogitsStillRank() {
    let probabilities = [20, 25, 30].map { CrossEntropy.probabilityOfFake(real: -1, fake: $0) }
    #expect(probabilities[0] < probabilities[1] && probabilities[1] < probabilities[2])
    #expect(CrossEntropy.probabilityOfFake(real: 2, fake: 2) == 0.5)
    #expect(CrossEntropy.probabilityOfFake(real: 1000, fake: -1000) == 0)
    #expect(
      (CrossEntropy.probabilityOfFake(real: 0, fake: 1) - 0.7310585786300049).magnitude < 1e-15)
  }
}
