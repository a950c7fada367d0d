import Foundation
import Testing

@testable import Checkpoints
@testable import Evaluation

@Suite struct CalibrationTests {
  private func logits(_ differences: [Double]) -> [Float] {
    differences.flatMap { [Float(0), Float($0)] }
  }

  @Test func temperaturesAndErrorsAreThoseOfSciPy() throws {
    for golden in try UncertaintyGolden.read().fits {
      let fit = try TemperatureFit(logits: logits(golden.differences), labels: golden.labels)
      #expect((fit.temperature / golden.temperature - 1).magnitude < 1e-6)
      #expect((fit.lossBefore - golden.before).magnitude < 1e-9)
      #expect((fit.lossAfter - golden.after).magnitude < 1e-9)
      for (temperature, expected) in zip([1, golden.temperature], golden.errors) {
        let reliability = Reliability(
          probabilities: golden.differences.map { 1 / (1 + exp(-$0 / temperature)) },
          labels: golden.labels, temperature: temperature)
        #expect((reliability.error - expected).magnitude < 1e-9)
        #expect(reliability.bins.reduce(0) { $0 + $1.images } == golden.labels.count)
      }
    }
  }

  /// Nowhere is there a better one, nor for logits that are all scaled.
  @Test func theTemperatureHasTheLowestLoss() throws {
    let golden = try UncertaintyGolden.read().fits[0]
    let fit = try TemperatureFit(logits: logits(golden.differences), labels: golden.labels)
    func loss(_ temperature: Double) throws -> Double {
      try TemperatureFit(
        logits: logits(golden.differences.map { $0 / temperature }), labels: golden.labels
      ).lossBefore
    }
    #expect(try loss(fit.temperature * 1.01) > fit.lossAfter)
    #expect(try loss(fit.temperature * 0.99) > fit.lossAfter)
    let scaled = try TemperatureFit(
      logits: logits(golden.differences.map { $0 * 8 }), labels: golden.labels)
    #expect((scaled.temperature / fit.temperature - 8).magnitude < 1e-9)
  }

  @Test func whatNoTemperatureFitsIsRefused() {
    for (differences, labels, expected) in [
      ([1, 2], [1, 1], TemperatureFit.Impossible.oneClass(isFake: true)),
      ([-1, -2], [0, 0], .oneClass(isFake: false)), ([], [], .oneClass(isFake: false)),
      ([-1, 2, 0], [0, 1, 1], .separated), ([1, -2, -1], [0, 1, 0], .worseThanChance),
    ] as [([Double], [UInt8], TemperatureFit.Impossible)] {
      #expect(throws: expected, "\(labels)") {
        try TemperatureFit(logits: logits(differences), labels: labels)
      }
    }
  }

  @Test func probabilitiesInBinsAreToldAsTheyAre() {
    let reliability = Reliability(
      probabilities: [0, 0.05, 1, 0.5], labels: [0, 1, 1, 0], temperature: nil)
    #expect(reliability.bins.map(\.images) == [2, 1, 1])
    #expect(reliability.bins[0].probability == 0.025 && reliability.bins[0].fakes == 0.5)
    #expect((reliability.error - (0.95 + 0.5) / 4).magnitude < 1e-15)
    #expect(reliability.bins[2].from == 14.0 / 15 && reliability.bins[2].to == 1)
  }

  // MARK: Error rates

  /// Ten real images and ten fakes that overlap.
  private func overlapping() throws -> Calibration {
    let differences = (0..<10).map { Double($0) } + (0..<10).map { Double($0) + 5.5 }
    let labels = [UInt8](repeating: 0, count: 10) + [UInt8](repeating: 1, count: 10)
    return try Calibration(fitting: logits(differences), labels: labels, data: ["v-*.h5"])
  }

  @Test func thresholdsKeepTheRatesOnTheImagesOfTheCalibration() throws {
    let calibration = try overlapping()
    #expect(calibration.real == 10 && calibration.fake == 10 && calibration.data == ["v-*.h5"])
    func difference(_ probability: Double) -> Double {
      log(probability / (1 - probability)) * calibration.temperature
    }
    // One of ten reals, 9, may be called fake: from 8.5 on. Below 6.5 lies one of ten fakes.
    let (real, fake) = try calibration.thresholds(falseAlarmRate: 0.1, missRate: 0.1)
    #expect((difference(fake) - 8.5).magnitude < 1e-6)
    #expect((difference(real) - 6.5).magnitude < 1e-6)
    // Where one threshold keeps both there is no between.
    let both = try calibration.thresholds(falseAlarmRate: 0.4, missRate: 0.4)
    #expect(both.real == both.fake)
    #expect((difference(both.fake) - 5.5).magnitude < 0.6)
  }

  @Test func ratesThatSoFewImagesCanNotTellAreRefused() throws {
    let calibration = try overlapping()
    #expect(throws: Calibration.UnknownRate.tooFew(rate: 0.09, isFake: false, images: 10)) {
      try calibration.thresholds(falseAlarmRate: 0.09, missRate: 0.5)
    }
    #expect(throws: Calibration.UnknownRate.tooFew(rate: 0.05, isFake: true, images: 10)) {
      try calibration.thresholds(falseAlarmRate: 0.5, missRate: 0.05)
    }
    #expect(throws: Calibration.UnknownRate.notMeasured) {
      try Calibration(temperature: 2).thresholds(falseAlarmRate: 0.5, missRate: 0.5)
    }
  }
}
