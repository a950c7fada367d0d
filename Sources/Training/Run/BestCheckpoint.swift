/// Which checkpoint is the best so far: the first with the largest validation AUC. As long as nothing
/// tells them apart, where there are no validation images or no AUC yet, it is the newest.
struct BestCheckpoint: Equatable {
  /// Largest validation AUC of a checkpoint.
  var auc: Double?
  /// Its step.
  var step: Int?

  /// Takes in a new checkpoint.
  ///
  /// - Parameter auc: what validation found; nil where there was none.
  /// - Returns: whether it is the best now.
  mutating func takes(step: Int, auc: Double?, isValidated: Bool) -> Bool {
    var isBest = !isValidated || self.auc == nil
    if let auc, auc > self.auc ?? -1 {
      self.auc = auc
      isBest = true
    }
    if isBest { self.step = step }
    return isBest
  }
}
