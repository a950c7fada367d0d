import Foundation
import Testing

@testable import Evaluation

/// DeLong's test against a published program: R's pROC. Golden file: Tests/Oracle/delong.R.
@Suite struct PublishedDeLongTests {
  private struct Golden: Decodable {
    struct Case: Decodable {
      let labels: [UInt8]
      let first, second: [Double]
      let aucs, variances: [Double]
      let covariance, z, p: Double
      let interval: [Double]
    }
    /// With its version.
    let program: String
    let cases: [Case]
  }

  private func golden() throws -> Golden {
    let url = try #require(
      Bundle.module.url(forResource: "delong", withExtension: "json", subdirectory: "Golden"))
    return try JSONDecoder().decode(Golden.self, from: Data(contentsOf: url))
  }

  /// pROC takes samples for independent of one another: each has a source of its own.
  @Test func comparedAUCsAreThoseOfPROC() throws {
    let golden = try golden()
    #expect(golden.program.hasPrefix("pROC ") && golden.cases.count == 2)
    for expected in golden.cases {
      let comparison = try #require(
        AUCComparison(
          first: expected.first, second: expected.second, labels: expected.labels,
          sources: Array(expected.labels.indices)))
      for (name, value, wanted) in [
        ("first AUC", comparison.first, expected.aucs[0]),
        ("second AUC", comparison.second, expected.aucs[1]),
        ("first variance", comparison.firstVariance, expected.variances[0]),
        ("second variance", comparison.secondVariance, expected.variances[1]),
        ("covariance", comparison.covariance, expected.covariance),
        ("z", comparison.z ?? .nan, expected.z),
        ("p", comparison.pValue ?? .nan, expected.p),
        ("low end", comparison.interval?.low ?? .nan, expected.interval[0]),
        ("high end", comparison.interval?.high ?? .nan, expected.interval[1]),
      ] {
        // Both count in double precision.
        #expect(
          abs(value - wanted) < 1e-12,
          "\(name) of \(expected.labels.count) samples: \(value), \(golden.program) \(wanted)")
      }
    }
  }

  /// Else it would hold of formulas without ties, too.
  @Test func theComparedScoresHaveTies() throws {
    for expected in try golden().cases {
      for scores in [expected.first, expected.second] {
        let reals = Set(zip(scores, expected.labels).filter { $0.1 == 0 }.map(\.0))
        let tied = zip(scores, expected.labels).count { $0.1 == 1 && reals.contains($0.0) }
        #expect(tied > 5, "\(tied) fakes have the score of a real sample")
      }
    }
  }
}
