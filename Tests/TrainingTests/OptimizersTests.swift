import Foundation
import Testing

@testable import Configuration
@testable import Foundations
@testable import Networks
@testable import Tensors
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

/// What may be done about an update besides its rule. Golden file: Tests/Oracle/optimizers.py.
@Suite struct TrainingHabitsTests {
  private let golden: [String: NamedTensor]

  init() throws { golden = try OptimizersTests().golden }

  private func tensor(_ name: String) throws -> [Float] { try #require(golden[name]).values }

  /// As `torch.nn.utils.clip_grad_norm_` before each step of SGD; the gradients of two ranks, summed.
  @Test func clippingFollowsPyTorch() throws {
    let (norms, expected) = (try tensor("clipped.norms"), try tensor("clipped.last"))
    var weights = try tensor("initial")
    let gradients = try tensor("gradients").map { $0 * 2 }
    let count = weights.count
    let now = UnsafeMutableBufferPointer<Float>.allocate(capacity: count)
    defer { now.deallocate() }
    let workers = WorkerPool(threads: 2)
    let measured = GradientNorm(
      of: now, [WeightGroup(range: 0..<count, rate: 1)], workers: workers)
    let settings = try #require(
      OptimizersTests.rules.first { $0.name == "sgd_momentum" }
    ).settings
    let optimizer = Optimizer(settings, count: count)
    var clipped = 0
    for step in 0..<12 {
      _ = now.initialize(from: gradients[step * count..<(step + 1) * count])
      let norm = measured.measure() * 0.5
      #expect(abs(norm - Double(norms[step])) < 1e-6 * norm)
      let factor = GradientNorm.factor(norm: norm, limit: 240)
      clipped += factor < 1 ? 1 : 0
      let update = optimizer.nextUpdate(
        learningRate: 0.01, gradientScale: 0.5 * Float(factor))
      weights.withUnsafeMutableBufferPointer {
        update.apply(to: $0, gradients: UnsafeBufferPointer(now), range: 0..<count)
      }
    }
    #expect(clipped > 2 && clipped < 10)
    for (weight, wanted) in zip(weights, expected) {
      #expect(abs(weight - wanted) <= 1e-6 + 2e-6 * abs(wanted))
    }
  }

  /// Over parts of 65,536 on any number of threads, without what is not trained.
  @Test func theNormIsThatOfTheWeightsThatAreTrained() {
    let count = 200_003
    let gradients = UnsafeMutableBufferPointer<Float>.allocate(capacity: count)
    defer { gradients.deallocate() }
    for i in 0..<count { gradients.initializeElement(at: i, to: Float(i % 97) - 40) }
    let groups = [
      WeightGroup(range: 0..<70_001, rate: 0.1), WeightGroup(range: 70_001..<150_000, rate: 0),
      WeightGroup(range: 150_000..<count, rate: 1),
    ]
    let norms = [1, 2, 5].map {
      GradientNorm(of: gradients, groups, workers: WorkerPool(threads: $0)).measure()
    }
    // Whole numbers: nothing is rounded.
    var sum = 0.0
    for i in 0..<count where !(70_001..<150_000).contains(i) {
      let gradient = Double(i % 97 - 40)
      sum += gradient * gradient
    }
    #expect(norms == [sum.squareRoot(), sum.squareRoot(), sum.squareRoot()])
    #expect(GradientNorm.factor(norm: 0, limit: 1) == 1)
    #expect(GradientNorm.factor(norm: 0.5, limit: 1) == 1)
    #expect(abs(GradientNorm.factor(norm: 4, limit: 1) - 0.25) < 1e-6)
  }

  /// As `torch.optim.swa_utils`, along the weights of Adam.
  @Test func theAverageFollowsPyTorch() throws {
    let detector = Detector(.xceptionTiny)
    let initial = try tensor("initial")
    let count = initial.count
    func store(_ values: [Float]) {
      for i in 0..<count { detector.values[i] = values[i] }
    }
    store(initial)
    detector.runningStatistics[3] = 2
    let average = WeightAverage(detector, decay: 0.9)
    let workers = WorkerPool(threads: 2)
    var weights = initial
    let gradients = try tensor("gradients")
    let optimizer = Optimizer(OptimizersTests.rules[0].settings, count: count)
    for step in 0..<12 {
      let update = optimizer.nextUpdate(learningRate: 0.01, gradientScale: 1)
      weights.withUnsafeMutableBufferPointer { weights in
        gradients[step * count..<(step + 1) * count].withUnsafeBufferPointer {
          update.apply(to: weights, gradients: $0, range: 0..<count)
        }
      }
      store(weights)
      if step == 0 { detector.runningStatistics[3] = 3 }
      average.follow(workers)
    }
    for (found, wanted) in zip(average.values, try tensor("average.last")) {
      #expect(abs(found - wanted) <= 1e-6 + 2e-6 * abs(wanted))
    }
    // 3 − 0.9¹².
    #expect(abs(average.runningStatistics[3] - 2.7175704) < 1e-5)

    // They change places, and back also where something fails.
    struct Failure: Error {}
    #expect(throws: Failure.self) {
      try average.withAverage {
        #expect(abs(detector.runningStatistics[3] - 2.7175704) < 1e-5)
        #expect(detector.values[0] != weights[0] || weights[0] == initial[0])
        throw Failure()
      }
    }
    #expect(Array(detector.values[..<count]) == weights && detector.runningStatistics[3] == 3)
  }

  @Test(arguments: [
    (DetectorName.xceptionTiny, "block2", "block2.", "block3"),
    (.resnet18, "layer2", "layer2.", "layer3"),
    (.mobilenetV2, "blocks.1", "blocks.1.", "blocks.2"),
  ])
  func groupsAreTheStagesOfTheNetwork(
    name: DetectorName, frozen: String, last: String, slow: String
  ) throws {
    var configuration = Configuration()
    configuration.model.name = name
    configuration.training.freeze = frozen
    configuration.training.optimizer.stageRates = ["\(slow)=0.25"]
    let detector = Detector(name)
    let groups = WeightGroup.all(of: detector, configuration.stageRates)
    #expect(groups.map(\.rate) == [1, 0.25, 0])
    #expect(groups[0].range.lowerBound == 0)
    #expect(groups[2].range.upperBound == detector.values.count)
    #expect(
      zip(groups, groups.dropFirst()).allSatisfy { $0.range.upperBound == $1.range.lowerBound })
    let rates = detector.parameters.map { parameter in
      groups.first { $0.range.contains(parameter.offset) }!.rate
    }
    // In forward order: those up to the stage, those up to the next, the rest.
    let order: [Double: Int] = [0: 0, 0.25: 1, 1: 2]
    #expect(zip(rates, rates.dropFirst()).allSatisfy { order[$0]! <= order[$1]! })
    let names = detector.parameters.map(\.name)
    let end = try #require(names.lastIndex { $0.hasPrefix(last) })
    #expect(rates[end] == 0 && rates[end + 1] == 0.25)
    let slowEnd = try #require(names.lastIndex { $0.hasPrefix("\(slow).") })
    #expect(rates[slowEnd] == 0.25 && rates[slowEnd + 1] == 1)
    #expect(
      WeightGroup.all(of: detector, []) == [
        WeightGroup(range: 0..<detector.values.count, rate: 1)
      ])
  }

  // MARK: Early stopping

  private func figures(_ name: String, _ value: Double?) -> [JSON.Member] {
    [.init("other", 1), .init(name, .optional(value))]
  }

  @Test func aTrainingEndsOnceNothingGetsBetter() {
    var settings = Configuration.Evaluation()
    settings.patience = 2
    for (metric, values) in [
      (Configuration.Evaluation.Metric.auc, [0.5, 0.7, 0.7, 0.8, 0.75, 0.8]),
      (.loss, [0.9, 0.4, 0.4, 0.3, 0.35, 0.3]),
    ] {
      settings.metric = metric
      var stopping = EarlyStopping(settings)
      #expect(!stopping.isOver)
      for (i, value) in values.enumerated() {
        stopping.take(figures(metric.rawValue, value))
        #expect(stopping.isOver == (i == 5), "\(metric) \(i)")
        // Nothing is known where a figure is not defined.
        stopping.take(figures(metric.rawValue, nil))
        // As a training that goes on in the midst.
        var resumed = EarlyStopping(settings)
        resumed.resume(.object(stopping.details))
        #expect(resumed == stopping)
      }
      settings.metric = .eer
      var other = EarlyStopping(settings)
      other.resume(.object(stopping.details))
      #expect(other == EarlyStopping(settings))
      // A run goes on with more patience.
      settings.metric = metric
      settings.patience = 3
      var patient = EarlyStopping(settings)
      patient.resume(.object(stopping.details))
      #expect(!patient.isOver && patient.since == 2)
      settings.patience = 2
    }
    settings.patience = 0
    var never = EarlyStopping(settings)
    for _ in 0..<9 { never.take(figures("auc", 0.5)) }
    #expect(!never.isOver)
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
