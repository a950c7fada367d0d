import Foundation
import Testing

@testable import ForgeryMining

private struct LocalisationGolden: Decodable {
  struct Case: Decodable {
    var width: Int
    var attention: [Float]
    var mask: [UInt8]
    var ratio: Double
    var hit: Bool
    var hitWithin2: Bool
    var energy: Double
    var area: Double
    var overlap: Double
  }
  var cases: [Case]
}

@Suite struct LocalisationTests {
  @Test func scoresFollowTheOracle() throws {
    for expected in try golden("localisation", as: LocalisationGolden.self).cases {
      let scores = try #require(
        LocalisationScores(
          attention: expected.attention, mask: expected.mask, width: expected.width))
      #expect((scores.insideOutsideRatio / expected.ratio - 1).magnitude < 1e-9)
      #expect(scores.pointingHit == expected.hit)
      #expect((scores.energyShare - expected.energy).magnitude < 1e-9)
      #expect((scores.areaShare - expected.area).magnitude < 1e-12)
      #expect((scores.intersectionOverUnion - expected.overlap).magnitude < 1e-12)
      let tolerant = try #require(
        LocalisationScores(
          attention: expected.attention, mask: expected.mask, width: expected.width, tolerance: 2))
      #expect(tolerant.pointingHit == expected.hitWithin2)
    }
  }

  @Test func aHandMadeMapScoresWhatOneCountsByHand() throws {
    // Forged: the first column. Attention 3 and 1 inside, 2, 0, 0, 2 outside.
    let scores = try #require(
      LocalisationScores(
        attention: [3, 2, 0, 1, 0, 2], mask: [255, 0, 0, 255, 0, 0], width: 3))
    #expect((scores.areaShare - 1.0 / 3).magnitude < 1e-12)
    #expect(scores.energyShare == 0.5)
    #expect((scores.insideOutsideRatio - 2).magnitude < 1e-12)
    #expect(scores.pointingHit)
    // The two highest pixels are 0 and 1; one of them is forged: 1 of 3.
    #expect((scores.intersectionOverUnion - 1.0 / 3).magnitude < 1e-12)
  }

  @Test func aMapEqualToTheMaskIsPerfectAndAConstantMapIsChance() throws {
    let mask: [UInt8] = [0, 255, 255, 0, 0, 255]
    let perfect = try #require(
      LocalisationScores(attention: mask.map { Float($0) }, mask: mask, width: 3))
    #expect(perfect.pointingHit && perfect.energyShare == 1)
    #expect(perfect.intersectionOverUnion == 1)
    #expect(perfect.insideOutsideRatio == .infinity)
    let chance = try #require(
      LocalisationScores(attention: [Float](repeating: 0.2, count: 6), mask: mask, width: 3))
    #expect((chance.insideOutsideRatio - 1).magnitude < 1e-12)
    #expect((chance.energyShare - chance.areaShare).magnitude < 1e-12)
  }

  @Test func thereIsNoScoreWhereThereIsNothingToTellApart() {
    let map: [Float] = [1, 2, 3, 4]
    #expect(LocalisationScores(attention: map, mask: [0, 0, 0, 127], width: 2) == nil)
    #expect(LocalisationScores(attention: map, mask: [255, 255, 255, 128], width: 2) == nil)
    #expect(LocalisationScores(attention: [0, 0, -1, 0], mask: [255, 0, 0, 0], width: 2) == nil)
    #expect(LocalisationScores(attention: [1, .nan, 1, 1], mask: [255, 0, 0, 0], width: 2) == nil)
  }

  @Test func summariesWeighImagesTheSameWhateverTheirScale() throws {
    let mask: [UInt8] = [255, 0, 0, 0]
    var summary = LocalisationSummary()
    var other = LocalisationSummary()
    summary.add(try #require(LocalisationScores(attention: [4, 1, 1, 1], mask: mask, width: 2)))
    other.add(try #require(LocalisationScores(attention: [0, 1e6, 0, 0], mask: mask, width: 2)))
    summary.merge(other)
    #expect(summary.images == 2)
    #expect(summary.pointingAccuracy == 0.5)
    #expect(summary.areaShare == 0.25)
    // Inside 16/7 and 0, outside 4/7 and 4/3, in units of each map's mean.
    let ratio = try #require(summary.insideOutsideRatio)
    #expect((ratio - (16.0 / 7) / (4.0 / 7 + 4.0 / 3)).magnitude < 1e-12)
  }

  @Test func anEmptySummaryIsWrittenAsNulls() throws {
    let encoder = JSONEncoder()
    encoder.outputFormatting = .sortedKeys
    let text = String(decoding: try encoder.encode(LocalisationSummary()), as: UTF8.self)
    #expect(
      text == #"{"area_share":null,"energy_share":null,"images":0,"inside_outside_ratio":null,"#
        + #""intersection_over_union":null,"pointing_accuracy":null}"#)
  }
}
