import Foundation
import Tensors
import Testing

@testable import FaceShards

@Suite struct KeyedPermutationTests {
  private func permutation(
    _ count: Int, seed: UInt64 = 1, visit: Int = 0, stratum: Int = 0
  ) -> KeyedPermutation {
    KeyedPermutation(
      count: count,
      generator: CounterGenerator(
        seed: seed, epoch: UInt64(visit), sample: UInt64(stratum), purpose: .order))
  }

  /// Small ranges one by one, primes, powers of two and their neighbours.
  @Test(
    arguments: Array(1...70) + [97, 127, 128, 129, 997, 1023, 1024, 1025, 10_007, 65_535, 65_537])
  func everyElementStandsAtOnePlaceAndIsFoundThere(count: Int) {
    for visit in 0..<2 {
      let permutation = permutation(count, visit: visit)
      var seen = [Bool](repeating: false, count: count)
      for place in 0..<count {
        let element = permutation.element(at: place)
        #expect(!seen[element])
        seen[element] = true
        #expect(permutation.place(of: element) == place)
      }
    }
  }

  @Test(arguments: [10_000_000, 99_999_989, 1 << 31, 1 << 32 - 1])
  func largeRangesAreUndoneToo(count: Int) {
    let permutation = permutation(count)
    for place in stride(from: 0, to: count, by: count / 999) {
      let element = permutation.element(at: place)
      #expect((0..<count).contains(element) && permutation.place(of: element) == place)
    }
  }

  private struct Golden: Decodable {
    var count: Int
    var seed: String
    var visit: Int
    var stratum: Int
    var places: [Int]
    var elements: [Int]
  }

  @Test func theyAreThoseOfTheOracle() throws {
    let url = Bundle.module.resourceURL!.appendingPathComponent("Golden/sample-order.json")
    let cases = try JSONDecoder().decode([Golden].self, from: Data(contentsOf: url))
    #expect(cases.count == 36)
    for golden in cases {
      let permutation = permutation(
        golden.count, seed: try #require(UInt64(golden.seed)), visit: golden.visit,
        stratum: golden.stratum)
      #expect(golden.places.map { permutation.element(at: $0) } == golden.elements, "\(golden)")
    }
  }

  /// Pearson's statistic of pairs of numbers below `count`, each sorted into 32 ranges, in deviations from
  /// its mean: of independent pairs about normal.
  private func deviation(count: Int, _ pairs: (Int) -> (Int, Int)) -> Double {
    let cells = 32
    var counts = [Double](repeating: 0, count: cells * cells)
    for i in 0..<count {
      let (a, b) = pairs(i)
      counts[a * cells / count * cells + b * cells / count] += 1
    }
    let expected = Double(count) / Double(cells * cells)
    let statistic = counts.reduce(0) { $0 + ($1 - expected) * ($1 - expected) / expected }
    let freedom = Double((cells - 1) * (cells - 1))
    return (statistic - freedom) / (2 * freedom).squareRoot()
  }

  /// Wherever elements come from they go evenly, and neither neighbours nor visits know of each other.
  /// Of these 120 statistics none should be beyond five deviations: by chance one is in 1.7 million.
  @Test(arguments: [4096, 4099, 65_536, 65_537, 100_003])
  func elementsAreSpreadEvenly(count: Int) {
    for visit in 0..<8 {
      let (now, next) = (permutation(count, visit: visit), permutation(count, visit: visit + 1))
      let elements = (0..<count).map(now.element)
      let others = (0..<count).map(next.element)
      let spread = deviation(count: count) { ($0, elements[$0]) }
      let neighbours = deviation(count: count) { (elements[$0], elements[($0 + 1) % count]) }
      let visits = deviation(count: count) { (elements[$0], others[$0]) }
      for (name, value) in [("spread", spread), ("neighbours", neighbours), ("visits", visits)] {
        #expect(abs(value) < 5, "\(name) of \(count) at visit \(visit): \(value)")
      }
    }
  }

  /// All 120 orders of five, and all 5040 of seven, are about equally often drawn.
  @Test(arguments: [(5, 120, 24_000), (7, 5040, 252_000)])
  func everyOrderOfAFewIsAsLikely(length: Int, orders: Int, draws: Int) {
    var counts: [[Int]: Int] = [:]
    for visit in 0..<draws {
      let permutation = permutation(length, visit: visit)
      counts[(0..<length).map(permutation.element), default: 0] += 1
    }
    let expected = Double(draws) / Double(orders)
    let statistic =
      counts.values.reduce(0) { $0 + (Double($1) - expected) * (Double($1) - expected) / expected }
      + Double(orders - counts.count) * expected
    let freedom = Double(orders - 1)
    #expect(abs(statistic - freedom) < 5 * (2 * freedom).squareRoot(), "\(statistic)")
  }

  /// Two visits, seeds or classes agree at one place on average, as two random permutations do.
  @Test func visitsSeedsAndClassesAreIndependent() {
    let (count, trials) = (1009, 300)
    var agreeing = (visits: 0, seeds: 0, classes: 0)
    for trial in 0..<trials {
      let base = permutation(count, seed: UInt64(trial), visit: trial)
      let visit = permutation(count, seed: UInt64(trial), visit: trial + 1)
      let seed = permutation(count, seed: UInt64(trial + 1), visit: trial)
      let stratum = permutation(count, seed: UInt64(trial), visit: trial, stratum: 1)
      for place in 0..<count {
        let element = base.element(at: place)
        if visit.element(at: place) == element { agreeing.visits += 1 }
        if seed.element(at: place) == element { agreeing.seeds += 1 }
        if stratum.element(at: place) == element { agreeing.classes += 1 }
      }
    }
    // Poisson with a mean of 300: six deviations.
    for found in [agreeing.visits, agreeing.seeds, agreeing.classes] {
      #expect(abs(found - trials) < 104, "\(agreeing)")
    }
  }
}

@Suite struct SampleSubsetTests {
  @Test(arguments: [0, 1, 63, 64, 65, 511, 512, 513, 5000])
  func theKthIsTheKth(total: Int) {
    let rules: [(Int) -> Bool] = [
      { _ in true }, { _ in false }, { $0 % 3 == 1 }, { $0 % 97 < 2 }, { $0 >= 600 }, { $0 < 70 },
      { $0 != 64 },
    ]
    for (number, rule) in rules.enumerated() {
      let subset = SampleSubset(of: total, where: rule)
      let expected = (0..<total).filter(rule)
      #expect(subset.count == expected.count)
      #expect((0..<subset.count).map { subset[$0] } == expected, "rule \(number)")
    }
  }
}
