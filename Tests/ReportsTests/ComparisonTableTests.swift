import Foundation
import Testing

@testable import Comparison
@testable import Evaluation
@testable import Reports

@Suite struct ComparisonTableTests {
  private func variant(
    _ method: String, _ seed: Int, scores: [Double], leftOut: String? = nil, energy: Double = 0.5,
    model: String? = nil
  ) throws -> VariantResult {
    let metrics = try EvaluationMetrics(
      scores: scores, labels: [0, 0, 1, 1], methods: [0, 0, 1, 2],
      methodNames: ["real", "blend|ed", "grid"])
    let own = VariantResult.Scores(
      images: 2, areaShare: 0.25, pointingAccuracy: 1, energyShare: energy,
      intersectionOverUnion: 0.125)
    return VariantResult(
      variant: .init(name: "n", method: method, seed: seed, leftOut: leftOut, model: model),
      step: 9, weights: "w", data: "d", metrics: metrics,
      degraded: leftOut == nil ? ["jpeg=50": metrics] : [:],
      localisation: leftOut == nil ? ["fam": .init(overall: own, methods: ["grid": own])] : [:])
  }

  private let right = [0.1, 0.2, 0.8, 0.9]
  private let wrong = [0.1, 0.85, 0.8, 0.9]

  private func comparison(seeds: Int) throws -> Comparison {
    var variants: [VariantResult] = []
    for seed in 1...seeds {
      variants.append(try variant("none", seed, scores: right))
      variants.append(
        try variant(
          "sfe", seed, scores: seed == 2 ? right : wrong, energy: 0.4 - 0.001 * Double(seed)))
    }
    variants.append(try variant("sfe", 1, scores: wrong, leftOut: "grid"))
    return Comparison(
      variants,
      setting: .init(model: "xception-tiny", crop: 64, steps: 9, globalBatch: 8, probability: 0.5),
      data: ["t"])
  }

  /// A manipulation method may be called as the row of all of them is, or begin with a mark.
  @Test(arguments: ["all", "\u{301}x"]) func aMethodIsNotTakenForAllOfThem(name: String) throws {
    let variants = try ["none", "sfe"].map { method in
      let metrics = try EvaluationMetrics(
        scores: method == "sfe" ? [0.1, 0.7, 0.8, 0.6] : [0.1, 0.2, 0.8, 0.9],
        labels: [0, 0, 1, 1], methods: [0, 0, 1, 2], methodNames: ["real", "grid", name])
      let own = VariantResult.Scores(
        images: 1, areaShare: 0.25, pointingAccuracy: 1, energyShare: 0.5,
        intersectionOverUnion: 0.5)
      return VariantResult(
        variant: .init(name: "n", method: method, seed: 1, leftOut: nil), step: 9, weights: "w",
        data: "d", metrics: metrics, degraded: [:],
        localisation: ["fam": .init(overall: own, methods: [name: own])])
    }
    let comparison = Comparison(
      variants,
      setting: .init(model: "xception-tiny", crop: 64, steps: 9, globalBatch: 8, probability: 0.5),
      data: ["t"])
    #expect(comparison.rows.filter { $0.method == name && $0.figure == "auc" }.count == 1)
    let text = ComparisonTable.markdown(comparison)
    let differences = try #require(text.split(separator: "## SFE less the others").last)
    // AUC, AP, EER and three TPR of all images; three figures of all maps.
    #expect(
      differences.split(separator: "\n").count { $0.hasPrefix("| all ") || $0.hasPrefix("| fam") }
        == 9, "\(differences)")
  }

  @Test func aBarWithAMarkAboveItEndsNoCell() {
    let lines = MarkdownTable.grid(["a"], [["x|\u{301}y"]]).split(separator: "\n")
    #expect(lines[2].unicodeScalars.elementsEqual("| x\\|\u{301}y |".unicodeScalars))
  }

  @Test func everyTableIsThereWithMeanAndSpread() throws {
    let text = ComparisonTable.markdown(try comparison(seeds: 3))
    let lines = text.split(separator: "\n", omittingEmptySubsequences: false).map(String.init)
    func cells(_ line: String) -> [String] {
      line.replacing("\\|", with: "¦").split(separator: "|").map {
        $0.trimmingCharacters(in: .whitespaces)
      }
    }
    func has(_ expected: [String]) -> Bool { lines.contains { cells($0) == expected } }
    for heading in [
      "# Comparison of augmentation methods", "## Detection", "## Robustness", "## Localisation",
      "## Left out", "## SFE less the others, paired by seed",
    ] {
      #expect(lines.contains(heading), "\(heading)")
    }
    #expect(text.contains("xception-tiny at 64 pixels, 9 updates of 8 images"))
    #expect(text.contains("n = 3 seeds (1, 2, 3)"))
    #expect(has(["images", "figure", "none", "sfe"]))
    // AUC of sfe: 0.75, 1, 0.75.
    #expect(has(["all", "AUC", "1.0000 ± 0.0000", "0.8333 ± 0.1443"]))
    #expect(has(["blend¦ed", "AUC", "1.0000 ± 0.0000", "0.6667 ± 0.2887"]))
    #expect(has(["jpeg=50", "AUC", "1.0000 ± 0.0000", "0.8333 ± 0.1443"]))
    #expect(has(["", "energy inside", "0.5000 ± 0.0000", "0.3980 ± 0.0010"]))
    #expect(has(["fam grid", "forged area", "0.2500 ± 0.0000", "0.2500 ± 0.0000"]))
    #expect(has(["grid", "AUC", "never seen", "-", "1.0000"]))
    // Twice in three seeds it is lower, which is not clear; the attention is, by far.
    #expect(has(["all", "AUC", "−0.1667 ± 0.1443 (0/3)"]))
    #expect(has(["fam", "energy inside", "−0.1020 ± 0.0010 (0/3) *"]))
    #expect(
      text.contains(
        "SFE against `none`: AUC is lower by 0.1667 on average, at 2 of 3 seeds; 95 % interval "
          + "−0.5252 to +0.1919, which holds 0: with 3 seeds this can't be told from chance."))
    #expect(text.contains("the share of FAM inside the forged region is lower by 0.1020"))
    // Every line of a table has as many columns as its heading, and stands under it.
    for (line, next) in zip(lines, lines.dropFirst())
    where line.hasPrefix("|") && next.hasPrefix("|") {
      #expect(line.count == next.count)
    }
  }

  /// Networks by methods at a glance, and in every table a column that names them.
  @Test func severalNetworksHaveAColumn() throws {
    var variants: [VariantResult] = []
    for (model, scores) in [("resnet18", right), ("mobilenet-v2", wrong)] {
      for seed in 1...2 {
        variants.append(try variant("none", seed, scores: scores, model: model))
        variants.append(try variant("sfe", seed, scores: right, model: model))
      }
      variants.append(try variant("sfe", 1, scores: scores, leftOut: "grid", model: model))
    }
    let setting = Comparison.Setting(
      model: "resnet18,mobilenet-v2", crop: 64, steps: 9, globalBatch: 8, probability: 0.5)
    let text = ComparisonTable.markdown(Comparison(variants, setting: setting, data: ["t"]))
    let lines = text.split(separator: "\n").map(String.init)
    func has(_ expected: [String]) -> Bool {
      lines.contains {
        $0.replacing("\\|", with: "¦").split(separator: "|").map {
          $0.trimmingCharacters(in: .whitespaces)
        } == expected
      }
    }
    #expect(lines[0] == "# Comparison of networks and augmentation methods")
    #expect(text.contains("resnet18, mobilenet-v2 at 64 pixels"))
    let (one, three) = ("1.0000 ± 0.0000", "0.7500 ± 0.0000")
    #expect(has(["figure", "network", "none", "sfe"]))
    #expect(has(["AUC", "resnet18", one, one]) && has(["", "mobilenet-v2", three, one]))
    #expect(has(["network", "images", "figure", "none", "sfe"]))
    #expect(has(["resnet18", "all", "AUC", one, one]))
    #expect(has(["mobilenet-v2", "all", "AUC", three, one]))
    #expect(has(["", "jpeg=50", "AUC", three, one]))
    #expect(has(["mobilenet-v2", "grid", "AUC", "never seen", "-", "1.0000"]))
    #expect(has(["mobilenet-v2", "all", "AUC", "+0.2500 ± 0.0000 (2/2) *"]))
    #expect(text.contains("- mobilenet-v2: SFE against `none`: AUC is higher by 0.2500"))
    #expect(text.contains("- resnet18: SFE and `none`: AUC is the same on average."))
    // One network that was asked for needs no column.
    let alone = Comparison(
      variants.filter { $0.variant.model == "resnet18" }, setting: setting, data: ["t"])
    let own = ComparisonTable.markdown(alone)
    #expect(own.contains("# Comparison of augmentation methods") && !own.contains("network"))
    #expect(own.contains("## Left out") && own.contains("never seen"))
  }

  @Test func oneSeedClaimsNothing() throws {
    let text = ComparisonTable.markdown(try comparison(seeds: 1))
    #expect(text.contains("nothing can be said about how much figures vary"))
    #expect(text.contains("one seed says nothing about chance"))
    #expect(!text.contains("±") && !text.contains("*"))
  }

  @Test func withoutTheReferenceNothingIsComparedWithIt() throws {
    let variants = try (1...2).map { try variant("none", $0, scores: right) }
    let text = ComparisonTable.markdown(
      Comparison(
        variants, setting: .init(model: "m", crop: 64, steps: 9, globalBatch: 8, probability: 1),
        data: ["t"]))
    #expect(!text.contains("SFE less") && !text.contains("## Left out"))
  }
}
