import Testing

@testable import Comparison
@testable import Evaluation
@testable import Reports

/// What is printed of `DetectorTest`s.
@Suite struct DetectorTestsTableTests {
  private func comparison(models: [String?], _ tests: [DetectorTest]?) throws -> Comparison {
    let metrics = try EvaluationMetrics(
      scores: [0.1, 0.2, 0.8, 0.9], labels: [0, 0, 1, 1], methods: [0, 0, 1, 1],
      methodNames: ["real", "blend"])
    var variants: [VariantResult] = []
    for model in models {
      for seed in 7...8 {
        for method in ["none", "re", "sfe"] {
          variants.append(
            VariantResult(
              variant: .init(name: "n", method: method, seed: seed, leftOut: nil, model: model),
              step: 9, weights: "w", data: "d", metrics: metrics, degraded: [:],
              localisation: [:]))
        }
      }
    }
    var comparison = Comparison(
      variants,
      setting: .init(model: "m", crop: 64, steps: 9, globalBatch: 8, probability: 1), data: ["t"])
    comparison.tests = tests
    return comparison
  }

  /// The cells of the section's lines.
  private func section(_ comparison: Comparison) -> [[String]]? {
    let text = ComparisonTable.markdown(comparison)
    guard let range = text.firstRange(of: "## Detector against detector\n") else { return nil }
    return text[range.upperBound...].split(separator: "\n").filter { $0.hasPrefix("|") }.map {
      $0.split(separator: "|").map { cell in
        String(cell.drop { $0 == " " }.reversed().drop { $0 == " " }.reversed())
      }
    }
  }

  @Test func detectorsAreComparedSeedBySeed() throws {
    let tests = [
      DetectorTest(
        model: nil, seed: 7, method: "none", difference: 0.05, interval: Interval(0.01, 0.09),
        pValue: 0.012_34),
      DetectorTest(
        model: nil, seed: 7, method: "re", difference: -0.2, interval: Interval(-0.3, -0.1),
        pValue: 0.000_05),
      // Both order the images alike.
      DetectorTest(
        model: nil, seed: 8, method: "none", difference: 0, interval: nil, pValue: nil),
    ]
    let lines = try #require(section(try comparison(models: [nil], tests)))
    #expect(lines.count == 4 && lines[0] == ["seed", "sfe − none", "sfe − re"])
    #expect(
      lines[2] == [
        "7", "+0.0500 [+0.0100, +0.0900], p = 0.0123", "−0.2000 [−0.3000, −0.1000], p < 0.0001",
      ])
    #expect(lines[3] == ["8", "+0.0000", "-"])
  }

  @Test func theNetworkOfATestIsNamed() throws {
    let tests = ["b", "a"].map { model in
      DetectorTest(
        model: model, seed: 8, method: "re", difference: model == "a" ? 0.5 : 0.25,
        interval: nil, pValue: nil)
    }
    let lines = try #require(section(try comparison(models: ["b", "a"], tests)))
    #expect(lines[0] == ["network", "seed", "sfe − none", "sfe − re"])
    #expect(lines.contains(["b", "8", "-", "+0.2500"]))
    #expect(lines.contains(["a", "8", "-", "+0.5000"]))
    #expect(lines.contains(["a", "7", "-", "-"]) && lines.count == 6)
  }

  @Test func withoutTestsThereIsNoSuchSection() throws {
    #expect(section(try comparison(models: [nil], nil)) == nil)
    #expect(section(try comparison(models: [nil], [])) == nil)
  }
}
