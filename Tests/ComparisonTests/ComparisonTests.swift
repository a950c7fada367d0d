import Foundation
import Testing

@testable import Comparison
@testable import Configuration
@testable import Evaluation
@testable import ForgeryMining
@testable import Networks

@Suite struct ComparisonTests {
  private struct Golden: Decodable {
    struct Case: Decodable {
      let first, second: [Double]
      let mean, sd, difference, differenceSD: Double
      let higher, lower: Int
      let interval: [Double]
    }
    struct Quantile: Decodable {
      let degrees: Int
      let value: Double
    }
    let cases: [Case]
    let quantiles: [Quantile]
  }

  private func golden() throws -> Golden {
    let url = Bundle.module.bundleURL.appendingPathComponent("Golden/comparison.json")
    return try JSONDecoder().decode(Golden.self, from: Data(contentsOf: url))
  }

  @Test func spreadAndPairedDifferencesAreThoseOfSciPy() throws {
    for expected in try golden().cases {
      let spread = try #require(MeanAndDeviation(expected.first))
      #expect(spread.n == expected.first.count)
      #expect(abs(spread.mean - expected.mean) < 1e-12)
      #expect(abs(try #require(spread.standardDeviation) - expected.sd) < 1e-12)
      let pairs = zip(expected.first, expected.second).map { (first: $0, second: $1) }
      let difference = try #require(PairedDifference(pairs))
      #expect(abs(difference.spread.mean - expected.difference) < 1e-12)
      #expect(
        abs(try #require(difference.spread.standardDeviation) - expected.differenceSD) < 1e-12)
      #expect(difference.higher == expected.higher && difference.lower == expected.lower)
      let interval = try #require(difference.interval)
      for (value, limit) in zip(interval, expected.interval) { #expect(abs(value - limit) < 1e-6) }
      #expect(difference.isClear == (expected.interval[0] > 0 || expected.interval[1] < 0))
    }
  }

  @Test func studentsQuantilesAreThoseOfSciPy() throws {
    for expected in try golden().quantiles {
      #expect(abs(studentQuantile(degrees: expected.degrees) - expected.value) < 1e-5)
    }
  }

  @Test func oneValueHasNoSpreadAndNoneNoMean() {
    #expect(MeanAndDeviation([])?.mean == nil)
    #expect(MeanAndDeviation([0.5])?.standardDeviation == nil)
    let pair = PairedDifference([(0.5, 0.25)])
    #expect(pair?.spread.mean == 0.25 && pair?.interval == nil && pair?.isClear == false)
    // Equal at every seed: no doubt, but no difference either.
    #expect(PairedDifference([(1, 1), (1, 1)])?.isClear == false)
  }

  // MARK: The plan

  private let base: Configuration = {
    var base = Configuration()
    base.run.seed = 7
    base.data.train = ["t.h5"]
    base.data.excludeMethods = ["x"]
    return base
  }()

  @Test func variantsDifferInMethodSeedAndWhatIsLeftOutAlone() {
    let plan = ComparisonPlan(
      base, methods: [.init(NoErasing.self), .init(SuspiciousForgeriesErasing.self)], seeds: 2,
      leftOut: ["face/swap", "face_swap", "x"],
      output: "out")
    #expect(plan.variants.count == 16)
    #expect(Set(plan.variants.map(\.name)).count == 16)
    #expect(
      plan.variants.prefix(5).map(\.name) == [
        "none-seed-7", "sfe-seed-7", "none-seed-8", "sfe-seed-8", "none-seed-7-without-face_swap",
      ])
    for variant in plan.variants {
      let configuration = plan.configuration(of: variant)
      let keys = Set(configuration.differences(from: base).map(\.key))
      #expect(
        keys.isSubset(of: [
          "run.name", "run.directory", "run.seed", "augmentation.method", "data.exclude_methods",
        ]))
      #expect(configuration.run.folder == "out/runs/\(variant.name)")
      #expect(configuration.run.seed == variant.seed)
      #expect(configuration.augmentation.method.rawValue == variant.method)
      let excluded = variant.leftOut.map { $0 == "x" ? ["x"] : ["x", $0] } ?? ["x"]
      #expect(configuration.data.excludeMethods == excluded)
      // A name that can be given to rfm train as well.
      #expect(throws: Never.self) {
        try Configuration.parse(configuration.yaml, name: variant.name)
      }
    }
  }

  /// Networks are trained with everything else alike, and only where they are asked for does a name or
  /// a file tell of them.
  @Test func severalNetworksAreTrainedWithEveryMethodAndSeed() throws {
    let methods = [ErasingMethodName(NoErasing.self), .init(SuspiciousForgeriesErasing.self)]
    let plan = ComparisonPlan(
      base, methods: methods, seeds: 2, leftOut: ["x"], models: [.resnet18, .xceptionTiny],
      output: "out")
    #expect(plan.variants.count == 16 && Set(plan.variants.map(\.name)).count == 16)
    #expect(
      plan.variants.prefix(6).map(\.name) == [
        "resnet18-none-seed-7", "resnet18-sfe-seed-7", "xception-tiny-none-seed-7",
        "xception-tiny-sfe-seed-7", "resnet18-none-seed-8", "resnet18-sfe-seed-8",
      ])
    #expect(plan.variants.last?.name == "xception-tiny-sfe-seed-8-without-x")
    for variant in plan.variants {
      let configuration = plan.configuration(of: variant)
      #expect(configuration.model.name.rawValue == variant.model)
      let keys = Set(configuration.differences(from: base).map(\.key))
      #expect(
        keys.isSubset(of: [
          "run.name", "run.directory", "run.seed", "augmentation.method", "data.exclude_methods",
          "model.name",
        ]))
    }
    let single = ComparisonPlan(base, methods: methods, seeds: 1, leftOut: [], output: "out")
    #expect(single.variants.allSatisfy { $0.model == nil })
    #expect(single.configuration(of: single.variants[0]).model.name == base.model.name)
    let encoder = JSONEncoder()
    encoder.outputFormatting = .sortedKeys
    #expect(
      String(decoding: try encoder.encode(single.variants[0]), as: UTF8.self)
        == #"{"method":"none","name":"none-seed-7","seed":7}"#)
  }

  /// Before any data are opened.
  @Test func networksThatCanNotBeComparedAreRefusedByName() throws {
    let all = ErasingMethodName.allCases
    func refusal(
      _ models: [DetectorName], _ methods: [ErasingMethodName], _ base: Configuration
    ) -> String {
      do {
        try ComparisonPlan.check(base, methods: methods, models: models)
        return "none"
      } catch {
        return "\(error)"
      }
    }
    var base = base
    let crop = refusal([.resnet18, .mesoInception4], all, base)
    #expect(
      crop.contains("--models") && crop.contains("meso-inception4 takes crops of 256 pixels")
        && crop.contains("\(base.data.crop) of data.crop"), "\(crop)")
    base.data.crop = 256
    let method = refusal([.resnet18, .mesoInception4], all, base)
    #expect(
      method.contains("--methods") && method.contains("is ae,")
        && method.contains("meso-inception4 has none"), "\(method)")
    let others = all.filter { $0.rawValue != "ae" }
    #expect(refusal([.resnet18, .mesoInception4], others, base) == "none")
    #expect(refusal([.resnet18], all, base) == "none")
    base.model.weights = "w.pth"
    #expect(refusal([.resnet18], all, base) == "none")
    let weights = refusal([.resnet18, .resnet34], all, base)
    #expect(weights.contains("model.weights is w.pth"), "\(weights)")
    base.model.weights = nil
    base.model.dropPath = 0.3
    let branches = refusal([.resnet18, .vgg16BN], [ErasingMethodName.allCases[0]], base)
    #expect(
      branches.contains("model.drop_path") && branches.contains("vgg16-bn has no residual"),
      "\(branches)")
    base.model.dropPath = 0
    base.model.name = .mesoInception4
    #expect(refusal([], all, base).contains("meso-inception4 has none"))
    #expect(refusal([.resnet18], all, base) == "none")
  }

  @Test func whatRemainsIsToldByMethodWhereItIsKnown() {
    #expect(ComparisonJob.remaining(["sfe", "none"], measured: [:]) == nil)
    let measured = ["none": [10.0, 20], "sfe": [60]]
    // Ten and twenty seconds, sixty, and their mean for a method that was not met yet.
    let remaining = ComparisonJob.remaining(["none", "sfe", "re"], measured: measured)
    #expect(abs((remaining ?? 0) - 105) < 1e-9)
    #expect(ComparisonJob.remaining([], measured: measured) == 0)
  }

  // MARK: The rows

  /// A variant whose scores are chosen by hand: two real images, two by each of two methods.
  private func variant(
    _ method: String, _ seed: Int, scores: [Double], leftOut: String? = nil,
    energy: Double? = nil, model: String? = nil
  ) throws -> VariantResult {
    let metrics = try EvaluationMetrics(
      scores: scores, labels: [0, 0, 1, 1, 1, 1], methods: [0, 0, 1, 1, 2, 2],
      methodNames: ["real", "blend", "grid"])
    let localisation = energy.map {
      let own = VariantResult.Scores(
        images: 4, areaShare: 0.25, pointingAccuracy: 0.5, energyShare: $0,
        intersectionOverUnion: nil)
      return ["fam": VariantResult.Localisation(overall: own, methods: ["grid": own])]
    }
    return VariantResult(
      variant: .init(
        name: "\(method)-\(seed)", method: method, seed: seed, leftOut: leftOut, model: model),
      step: 9,
      weights: "w", data: "d", metrics: metrics,
      degraded: leftOut == nil ? ["blur=1.0": metrics] : [:], localisation: localisation ?? [:])
  }

  @Test func rowsHoldMeanSpreadAndDifferencesOfEveryFigure() throws {
    let right = [0.1, 0.2, 0.8, 0.9, 0.7, 0.6]
    let half = [0.1, 0.85, 0.8, 0.9, 0.7, 0.6]
    let variants = try [
      variant("none", 1, scores: right, energy: 0.5), variant("sfe", 1, scores: half, energy: 0.25),
      variant("none", 2, scores: half, energy: 0.25), variant("sfe", 2, scores: half, energy: 0.5),
      variant("none", 1, scores: half, leftOut: "grid"),
    ]
    let comparison = Comparison(
      variants,
      setting: .init(model: "m", crop: 64, steps: 9, globalBatch: 8, probability: 1), data: ["t"])
    #expect(comparison.methods == ["none", "sfe"] && comparison.seeds == [1, 2])
    #expect(comparison.leftOut == ["grid"])
    func row(
      _ table: ComparisonRow.Table, _ name: String, _ figure: String
    ) throws -> ComparisonRow {
      let found = comparison.rows.filter {
        $0.table == table && $0.row == name && $0.figure == figure
      }
      #expect(found.count == 1)
      return try #require(found.first)
    }
    // Of eight pairs of a fake and a real image, three are the wrong way round in `half`.
    let auc = try row(.detection, "all", "auc")
    #expect(auc.spreads["none"]?.mean == (1 + 0.625) / 2 && auc.spreads["none"]?.n == 2)
    #expect(auc.spreads["sfe"] == MeanAndDeviation([0.625, 0.625]))
    #expect(auc.differences["none"]?.spread.mean == -0.1875)
    #expect(auc.differences["none"]?.lower == 1 && auc.differences["none"]?.higher == 0)
    #expect(auc.differences["sfe"] == nil)
    #expect(try row(.detection, "grid", "auc").spreads["sfe"]?.mean == 0.5)
    #expect(try row(.robustness, "blur=1.0", "auc").spreads == auc.spreads)
    #expect(try row(.detection, "blend", "tpr_at_fpr_1e-4").spreads["none"]?.mean == 0.75)
    let energy = try row(.localisation, "fam grid", "energy_share")
    #expect(energy.spreads["sfe"]?.mean == 0.375 && energy.differences["none"]?.spread.mean == 0)
    #expect(try row(.localisation, "fam", "intersection_over_union").spreads.isEmpty)
    // Left out: only what was trained without it counts, and only there.
    let unseen = try row(.leftOut, "grid", "auc")
    #expect(unseen.spreads == ["none": MeanAndDeviation([0.5])!] && unseen.differences.isEmpty)
    // What is written reads back.
    let data = try JSONEncoder().encode(comparison)
    #expect(try JSONDecoder().decode(Comparison.self, from: data) == comparison)
  }

  /// Every network has the rows that it would have alone, with its name.
  @Test func everyNetworkHasItsRows() throws {
    let right = [0.1, 0.2, 0.8, 0.9, 0.7, 0.6]
    let half = [0.1, 0.85, 0.8, 0.9, 0.7, 0.6]
    let setting = Comparison.Setting(
      model: "m", crop: 64, steps: 9, globalBatch: 8, probability: 1)
    func variants(_ model: String?, _ first: [Double], _ second: [Double]) throws
      -> [VariantResult]
    {
      try [
        variant("none", 1, scores: first, energy: 0.5, model: model),
        variant("sfe", 1, scores: second, energy: 0.25, model: model),
        variant("none", 1, scores: second, leftOut: "grid", model: model),
      ]
    }
    let both = Comparison(
      try variants("b", right, half) + variants("a", half, right), setting: setting, data: ["t"])
    #expect(both.models == ["b", "a"] && both.methods == ["none", "sfe"])
    for (model, first, second) in [("b", right, half), ("a", half, right)] {
      let alone = Comparison(try variants(nil, first, second), setting: setting, data: ["t"])
      #expect(alone.models == nil)
      var rows = both.rows.filter { $0.model == model }
      for place in rows.indices { rows[place].model = nil }
      #expect(rows == alone.rows && !rows.isEmpty)
    }
    #expect(both.rows.allSatisfy { $0.model != nil })
    let data = try JSONEncoder().encode(both)
    #expect(try JSONDecoder().decode(Comparison.self, from: data) == both)
    // What was written before there were networks to compare reads as it did, and is written so.
    let alone = Comparison(try variants(nil, right, half), setting: setting, data: ["t"])
    let text = String(decoding: try JSONEncoder().encode(alone), as: UTF8.self)
    #expect(!text.contains("\"models\"") && text.components(separatedBy: "\"model\"").count == 2)
  }
}
