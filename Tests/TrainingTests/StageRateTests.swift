import TestSupport
import Testing

@testable import Configuration
@testable import FaceShards
@testable import ForgeryMining
@testable import Images
@testable import MessagePassing
@testable import Networks
@testable import Tensors
@testable import Training

/// Whether weights whose learning rate is a part of the others' become those of PyTorch's parameter groups.
///
/// In two steps, since a training step's gradients are its network's: an optimizer of its own for each
/// group does what PyTorch does, and a training step does that, bit by bit. Golden file:
/// Tests/Oracle/optimizers.py.
@Suite struct StageRateTests {
  private let golden: [String: NamedTensor]
  private let folder = TemporaryFolder()

  init() throws { golden = try OptimizersTests().golden }

  private func tensor(_ name: String) throws -> [Float] { try #require(golden[name]).values }

  private func settings(_ rule: String) throws -> OptimizersTests.Settings {
    try #require(OptimizersTests.rules.first { $0.name == rule }).settings
  }

  /// Weights of groups that know nothing of one another.
  private final class SeparateGroups {
    private let groups: [WeightGroup]
    private let optimizers: [Optimizer]
    private(set) var weights: [Float]
    /// For denormals count as zero in its tasks, as they do in a training's.
    private let workers = WorkerPool(threads: 1)

    init(_ settings: OptimizersTests.Settings, _ groups: [WeightGroup], weights: [Float]) {
      self.groups = groups
      self.weights = weights
      optimizers = groups.map { _ in Optimizer(settings, count: weights.count) }
    }

    func update(_ gradients: [Float], learningRate: Double) {
      for (group, optimizer) in zip(groups, optimizers) where group.rate > 0 {
        let update = optimizer.nextUpdate(
          learningRate: learningRate * group.rate, gradientScale: 1)
        workers.run(1) { [self] _, _ in
          weights.withUnsafeMutableBufferPointer { weights in
            gradients.withUnsafeBufferPointer {
              update.apply(to: weights, gradients: $0, range: group.range)
            }
          }
        }
      }
    }
  }

  @Test(arguments: OptimizersTests.rules.map(\.name))
  func twoGroupsFollowThoseOfPyTorch(rule: String) throws {
    let initial = try tensor("initial")
    let gradients = try tensor("gradients")
    let count = initial.count
    let separate = SeparateGroups(
      try settings(rule),
      [WeightGroup(range: 0..<101, rate: 1), WeightGroup(range: 101..<count, rate: 0.25)],
      weights: initial)
    for step in 0..<12 {
      // The oracle's order.
      let now = (0..<count).map { gradients[step * count + $0 * 100 % count] }
      separate.update(now, learningRate: step < 6 ? 0.01 : 0.005)
    }
    let expected = try tensor("groups.\(rule).last")
    #expect(expected.count == count, "\(rule)")
    for (place, (weight, wanted)) in zip(separate.weights, expected).enumerated() {
      #expect(
        abs(weight - wanted) <= 1e-6 + 2e-6 * abs(wanted), "\(rule), weight \(place): \(weight)")
    }
  }

  /// Two real images and two fakes, small and unlike one another.
  private func images() throws -> ShardSet {
    let writer = try ShardWriter(
      path: folder("a.h5"), height: 40, width: 40, methodNames: ["real", "swap"])
    for row in 0..<4 {
      let image = (0..<40 * 40 * 3).map { UInt8(truncatingIfNeeded: ($0 &* (row + 3)) >> 3) }
      try image.withUnsafeBufferPointer {
        try writer.append(image: $0, method: row % 2, source: "\(row)")
      }
    }
    try writer.finish()
    return try ShardSet(patterns: [folder("a.h5")])
  }

  @Test(
    arguments: [
      ("adam", nil), ("adam_decay", "block2"), ("adamw", nil), ("sgd", "block2"),
      ("sgd_momentum", nil),
    ] as [(String, String?)])
  func aTrainingStepUpdatesEveryGroupAsIfItWereAlone(rule: String, frozen: String?) throws {
    var configuration = Configuration()
    configuration.model.name = .xceptionTiny
    configuration.data.crop = 32
    configuration.augmentation.method = try #require(ErasingMethodName(rawValue: "none"))
    configuration.training.batchPerRank = 4
    configuration.training.flooding = 0
    configuration.training.freeze = frozen
    configuration.training.optimizer = try settings(rule)
    configuration.training.optimizer.stageRates = ["block3=0.25"]
    let detector = Detector(.xceptionTiny)
    detector.initialise(seed: 9)
    let groups = WeightGroup.all(of: detector, configuration.stageRates)
    #expect(groups.map(\.rate) == (frozen == nil ? [1, 0.25] : [1, 0.25, 0]), "\(rule)")
    let before = Array(detector.values)
    let separate = SeparateGroups(try settings(rule), groups, weights: before)

    let step = try TrainingStep(
      configuration, detector, communicator: .world(), workers: WorkerPool(threads: 2))
    let loader = try BatchLoader(
      evaluating: try images(), samples: (0..<12).map { $0 % 4 }, batchSize: 4, crop: 32,
      normalisation: PixelNormalisation(mean: 0.5, std: 0.25))
    for number in 1...3 {
      let learningRate = number < 3 ? 0.01 : 0.005
      let result = try step.run(loader, step: number, learningRate: learningRate, stop: false)
      #expect(result.isFinite, "\(rule), step \(number)")
      // They are what the update took: one batch of one rank.
      separate.update(Array(detector.gradients), learningRate: learningRate)
      let other = before.indices.filter {
        detector.values[$0].bitPattern != separate.weights[$0].bitPattern
      }
      #expect(other.isEmpty, "\(rule), step \(number): \(other.count) weights are other ones")
    }
    #expect(step.optimizer.steps == 3, "\(rule)")
    for group in groups {
      let moved = group.range.count { detector.values[$0] != before[$0] }
      #expect((moved > 0) == (group.rate > 0), "\(rule): \(moved) weights moved at \(group.rate)")
    }
  }
}
