import FaceShards
import Foundations

/// A training that has lost its numbers: a loss, gradients or weights that are infinite or no numbers.
public struct DivergenceError: ReportableError {
  public let step: Int
  /// What is not finite, and where it began.
  public let problem: String

  public var description: String {
    "step \(step): \(problem); nothing was saved since the last checkpoint. Lower "
      + "training.optimizer.learning_rate, or look for broken images with rfm inspect --verify"
  }

  public var exitStatus: ExitStatus { .badData }
}

/// Where the numbers of a step stopped being finite.
struct NonFiniteOrigin: CustomStringConvertible {
  enum Place {
    /// A layer's output, or the statistics made of it, in words: the first in forward order.
    case output(String)
    /// The gradients of a layer's parameters: the first on the way back.
    case gradients(layer: String)
    /// Finite on every rank, but not added up.
    case sum
  }

  var place: Place
  /// Ranks that come upon it at that place.
  var ranks: [Int]
  /// A parameter that is not finite itself.
  var parameter: String?

  var description: String {
    let names = ranks.map(String.init).joined(separator: ", ")
    let text =
      switch place {
      case .output(let name): "not finite on rank \(names): \(name)"
      case .gradients(let layer): "not finite on rank \(names): the gradients of \(layer)"
      case .sum: "not finite: the sum of the ranks' gradients"
      }
    return text + (parameter.map { " (nor is the weight \($0))" } ?? "")
  }
}

extension TrainingStep {
  /// Runs a step that was not finite once more, to see where that begins. Weights and running
  /// statistics stay as they are. Collective.
  ///
  /// - Parameter loader: delivers the step's batches again.
  func findNonFinite(_ loader: BatchLoader) throws -> NonFiniteOrigin {
    var output: Int?
    try repeatPasses(loader) {
      let found = program.firstNonFiniteOutput()
      output = [output, found].compactMap(\.self).min()
    }
    let (outputs, layers) = (program.outputNames, program.layerNames)
    // Outputs come before all gradients, and those of the last layer first.
    let last = outputs.count + layers.count - 1
    let found = output ?? program.firstNonFiniteGradient().map { last - $0 } ?? last + 1
    let everywhere = try communicator.allGather([found])
    let first = everywhere.min()!
    let place: NonFiniteOrigin.Place =
      first < outputs.count
      ? .output(outputs[first])
      : first <= last ? .gradients(layer: layers[last - first]) : .sum
    return NonFiniteOrigin(
      place: place, ranks: everywhere.indices.filter { everywhere[$0] == first },
      parameter: detector.firstNonFinite(in: detector.values.baseAddress!)?.name)
  }

  /// What a checkpoint would hold and is not finite, by its name; nil: all is well. The same on every
  /// rank.
  func firstNonFiniteState() -> String? {
    if let parameter = detector.firstNonFinite(in: detector.values.baseAddress!) {
      return parameter.name
    }
    if let norm = detector.firstNonFiniteNorm(in: detector.runningStatistics.baseAddress!) {
      return "\(norm.name).running_mean and running_var"
    }
    for slot in optimizer.slots {
      if let parameter = detector.firstNonFinite(in: slot.values.baseAddress!) {
        return "\(slot.name).\(parameter.name)"
      }
    }
    return nil
  }
}
