import Foundation
import Testing

@testable import Configuration
@testable import Networks
@testable import Training

/// Golden file: Tests/Oracle/optimizers.py.
@Suite struct OptimizersTests {
  typealias Settings = Configuration.Training.Optimizer

  static let rules: [(name: String, settings: Settings)] = {
    var decay = Settings()
    decay.weightDecay = 0.1
    decay.beta1 = 0.5
    decay.beta2 = 0.9
    decay.epsilon = 1e-3
    var adamw = Settings()
    adamw.name = .adamw
    adamw.weightDecay = 0.1
    var sgd = Settings()
    sgd.name = .sgd
    sgd.momentum = 0
    var momentum = sgd
    momentum.momentum = 0.9
    momentum.weightDecay = 0.1
    var nesterov = momentum
    nesterov.nesterov = true
    return [
      ("adam", Settings()), ("adam_decay", decay), ("adamw", adamw), ("sgd", sgd),
      ("sgd_momentum", momentum), ("sgd_nesterov", nesterov),
    ]
  }()

  let golden: [String: NamedTensor]

  init() throws {
    let url = try #require(
      Bundle.module.url(forResource: "Golden/optimizers.safetensors", withExtension: nil))
    golden = Dictionary(
      uniqueKeysWithValues: try Safetensors.read(url.path).map { ($0.name, $0) })
  }

  private func tensor(_ name: String) throws -> [Float] { try #require(golden[name]).values }

  /// The weights after each of the golden steps.
  ///
  /// - Parameters:
  ///   - scale: gradients are divided by this beforehand, and the optimizer told to undo it.
  ///   - cuts: where the work is parted, given the number of weights.
  private func train(
    _ settings: Settings, scale: Float = 1, cuts: (Int) -> [Int] = { _ in [] },
    optimizer given: Optimizer? = nil
  ) throws -> [[Float]] {
    var weights = try tensor("initial")
    let gradients = try tensor("gradients").map { $0 / scale }
    let optimizer = given ?? Optimizer(settings, count: weights.count)
    var history: [[Float]] = []
    for step in 0..<12 {
      let update = optimizer.nextUpdate(
        learningRate: step < 6 ? 0.01 : 0.005, gradientScale: scale)
      let bounds = [0] + cuts(weights.count) + [weights.count]
      weights.withUnsafeMutableBufferPointer { weights in
        gradients.withUnsafeBufferPointer { all in
          let now = UnsafeBufferPointer(
            rebasing: all[step * weights.count..<(step + 1) * weights.count])
          for (low, high) in zip(bounds, bounds.dropFirst()) {
            update.apply(to: weights, gradients: now, range: low..<high)
          }
        }
      }
      history.append(weights)
    }
    return history
  }

  @Test(arguments: rules.indices)
  func twelveStepsFollowPyTorch(_ index: Int) throws {
    let (name, settings) = Self.rules[index]
    let history = try train(settings)
    for (weights, expected) in [
      (history[0], try tensor("\(name).first")), (history[11], try tensor("\(name).last")),
    ] {
      for (weight, wanted) in zip(weights, expected) {
        #expect(abs(weight - wanted) <= 1e-6 + 2e-6 * abs(wanted))
      }
    }
  }

  @Test(arguments: rules.indices)
  func howTheWorkIsPartedDoesNotChangeABit(_ index: Int) throws {
    let settings = Self.rules[index].settings
    let whole = try train(settings)
    #expect(try train(settings, cuts: { Array(stride(from: 1, to: $0, by: 1)) }) == whole)
    #expect(try train(settings, cuts: { _ in [3, 3, 100, 131] }) == whole)
  }

  @Test func gradientsOfSeveralRanksAreAveraged() throws {
    for (_, settings) in Self.rules {
      // A power of two: nothing is rounded.
      #expect(try train(settings, scale: 0.25) == train(settings))
    }
  }

  @Test func aRestoredOptimizerGoesOnAsIfNothingHadHappened() throws {
    for (_, settings) in Self.rules {
      let first = Optimizer(settings, count: 257)
      _ = try train(settings, optimizer: first)
      let restored = Optimizer(settings, count: 257)
      restored.resume(steps: first.steps)
      for (from, to) in zip(first.slots, restored.slots) {
        #expect(from.name == to.name)
        _ = to.values.update(from: from.values)
      }
      #expect(try train(settings, optimizer: restored) == train(settings, optimizer: first))
    }
  }

  @Test func zeroGradientsAndWeightsStayZero() {
    for (_, settings) in Self.rules {
      var weights: [Float] = [0, 0, 0]
      let gradients: [Float] = [0, 0, 0]
      let optimizer = Optimizer(settings, count: 3)
      for _ in 0..<3 {
        let update = optimizer.nextUpdate(learningRate: 1, gradientScale: 1)
        weights.withUnsafeMutableBufferPointer { weights in
          gradients.withUnsafeBufferPointer {
            update.apply(to: weights, gradients: $0, range: 0..<3)
          }
        }
      }
      #expect(weights == [0, 0, 0])
    }
  }
}

@Suite struct SchedulesTests {
  private func schedule(
    _ name: Configuration.Training.Schedule.Name, warmup: Int = 0, total: Int = 100
  ) -> Schedule {
    var settings = Configuration.Training.Schedule()
    settings.name = name
    settings.warmupSteps = warmup
    settings.minimum = 0.125
    settings.every = 10
    settings.factor = 0.5
    return Schedule(settings, base: 1, totalSteps: total)
  }

  @Test func warmUpRisesEvenlyToTheBaseRate() {
    for name in Configuration.Training.Schedule.Name.allCases {
      let rates = (0..<5).map { schedule(name, warmup: 4).learningRate(step: $0) }
      #expect(rates == [0.25, 0.5, 0.75, 1, 1])
    }
  }

  @Test func constantStaysConstant() {
    #expect((0..<200).allSatisfy { schedule(.constant).learningRate(step: $0) == 1 })
  }

  @Test func cosineFallsFromTheBaseRateToTheMinimum() {
    let cosine = schedule(.cosine, warmup: 20)
    #expect(cosine.learningRate(step: 20) == 1)
    #expect(abs(cosine.learningRate(step: 60) - (0.125 + 0.875 / 2)) < 1e-12)
    // A quarter of the way: (1 + cos(π/4)) / 2.
    #expect(abs(cosine.learningRate(step: 40) - (0.125 + 0.875 * 0.853553390593273)) < 1e-12)
    #expect(cosine.learningRate(step: 100) == 0.125)
    #expect(cosine.learningRate(step: 1000) == 0.125)
    let rates = (20...100).map { cosine.learningRate(step: $0) }
    #expect(zip(rates, rates.dropFirst()).allSatisfy { $0 > $1 })
  }

  @Test func stepMultipliesByTheFactorEverySoOften() {
    let step = schedule(.step, warmup: 2)
    #expect(
      [2, 11, 12, 21, 22, 99].map { step.learningRate(step: $0) } == [
        1, 1, 0.5, 0.5, 0.25, 1.0 / 512,
      ])
  }

  @Test func aWarmUpLongerThanTheRunIsNoTrouble() {
    let cosine = schedule(.cosine, warmup: 10, total: 5)
    #expect(cosine.learningRate(step: 4) == 0.5)
    #expect(cosine.learningRate(step: 10) == 0.125)
  }
}
