import Foundations
import Networks

/// What the learning rate of a stage's weights, and of all before it, is multiplied by.
public struct StageRate: Sendable, Equatable {
  /// As in `model.truncate`.
  public let stage: String
  /// 0: the weights stay as they are.
  public let rate: Double
}

extension StageRate {
  /// Reads `block3=0.1`; nil if that is not what it is.
  init?(_ text: String) {
    let parts = text.split(separator: "=", omittingEmptySubsequences: false)
    guard parts.count == 2, !parts[0].isEmpty,
      parts[1].utf8.allSatisfy({ byte in "0123456789.eE-+".utf8.contains(byte) }),
      let rate = Double(parts[1]), rate > 0, rate.isFinite
    else { return nil }
    self.init(stage: String(parts[0]), rate: rate)
  }
}

extension Configuration {
  /// In forward order; weights behind the last have the learning rate itself.
  public var stageRates: [StageRate] {
    (training.freeze.map { [StageRate(stage: $0, rate: 0)] } ?? [])
      + training.optimizer.stageRates.compactMap(StageRate.init)
  }

  /// Which setting of ``stageRates`` the network can't have, and why; nil where it can.
  var stageRateProblem: (key: String, text: String)? {
    let (freeze, rates) = ("training.freeze", "training.optimizer.stage_rates")
    let all = model.form.stages
    let stages =
      model.truncate.flatMap { all.firstIndex(of: $0) }.map { Array(all[...$0]) } ?? all
    for text in training.optimizer.stageRates where StageRate(text) == nil {
      return (rates, "holds '\(printable(text))'; write STAGE=NUMBER, such as \(all[0])=0.1")
    }
    var last = -1
    for rate in stageRates {
      let key = rate.rate == 0 ? freeze : rates
      guard let place = stages.firstIndex(of: rate.stage) else {
        let near = nearest(to: rate.stage, among: stages).map { " (did you mean '\($0)'?)" } ?? ""
        return (
          key,
          "names '\(printable(rate.stage))', no stage of \(model.form)\(near): it has "
            + stages.joined(separator: ", ")
        )
      }
      guard place > last else {
        return (
          key,
          "names \(rate.stage) behind \(stages[last]): name stages in forward order, each once, and "
            + "those of stage_rates behind training.freeze"
        )
      }
      last = place
    }
    return nil
  }
}
