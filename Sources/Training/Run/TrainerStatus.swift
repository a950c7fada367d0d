import Checkpoints
import Foundations

/// What a training tells of itself while it runs.
extension Trainer {
  /// This rank's phases since the last report.
  struct PhaseSums {
    private(set) var steps = 0
    private var seconds = [Double](repeating: 0, count: Phases.all.count)
    private typealias Phases = TrainingStep.Phases

    mutating func add(_ phases: TrainingStep.Phases) {
      steps += 1
      for (index, phase) in Phases.all.enumerated() {
        seconds[index] += phases[keyPath: phase.path]
      }
    }

    /// Seconds a step, and none since.
    mutating func takeMeans() -> [Double] {
      defer { self = PhaseSums() }
      return seconds.map { $0 / Double(max(1, steps)) }
    }
  }

  /// Compares the ranks' phases since the last report, and writes one. Collective.
  func reportStep(_ result: TrainingStep.Result, learningRate: Double, imagesPerSecond: Double)
    throws
  {
    let all = try communicator.allGather(phaseSums.takeMeans())
    guard let statusKeeper else { return }
    let phases = TrainingStep.Phases.all
    let ranks = stride(from: 0, to: all.count, by: phases.count).enumerated().map { rank, start in
      RunStatus.SlowestRank(
        rank: rank, host: hosts[rank],
        secondsPerPhase: Dictionary(
          uniqueKeysWithValues: zip(phases.map(\.name), all[start..<start + phases.count])))
    }
    statusKeeper.report {
      $0.state = .training
      note(in: &$0)
      $0.loss = result.loss.isFinite ? result.loss : nil
      $0.learningRate = learningRate
      $0.imagesPerSecond = imagesPerSecond
      // The first of equals, so that it does not change at random.
      $0.slowestRank = ranks.max { $0.secondsOfWork < $1.secondsOfWork }
    }
  }

  /// Says that the training does something else now, or ends.
  func report(_ state: RunStatus.State) {
    statusKeeper?.report {
      $0.state = state
      note(in: &$0)
    }
  }

  private func note(in status: inout RunStatus) {
    status.step = steps
    status.epoch = data.epoch(at: max(0, position - 1))
    status.skippedSteps = skipped.inAll
    status.bestStep = best.step
    status.bestValidationAUC = best.auc
  }
}

extension TrainingStep.Phases {
  /// Every phase by its name.
  static var all: [(name: String, path: WritableKeyPath<Self, Double> & Sendable)] {
    [
      ("load", \.load), ("attention", \.attention), ("erase", \.erase), ("forward", \.forward),
      ("backward", \.backward), ("reduce", \.reduce), ("update", \.update),
    ]
  }
}
