import CKernels

extension Detector {
  /// The first parameter in forward order with a value in `arena` that is not finite; nil: there is
  /// none.
  public func firstNonFinite(in arena: UnsafePointer<Float>) -> Parameter? {
    parameters.first { rfm_all_finite(arena + $0.offset, $0.storedCount) == 0 }
  }

  /// The first batch norm in forward order with a running mean or variance that is not finite.
  ///
  /// - Parameter statistics: laid out like `runningStatistics`.
  public func firstNonFiniteNorm(in statistics: UnsafePointer<Float>) -> BatchNorm? {
    norms.first { rfm_all_finite(statistics + $0.runningOffset, 2 * $0.stride) == 0 }
  }
}
