/// Operations that become one, or run at another time, since that takes less: by what they are and who reads
/// them, whichever network it is.
extension LoweredNetwork {
  /// Depthwise convolutions that only a pointwise one reads, as they are, become one with it.
  func withSeparableConvolutions() -> [Operation] {
    var operations = operations
    for index in operations.indices.reversed() {
      guard case .depthwise(let depthwise) = operations[index].kind else { continue }
      let readers = Self.readers(of: operations[index].output, operations)
      guard readers.count == 1, case .convolution(let pointwise) = operations[readers[0]].kind,
        pointwise.window.isPointwise, isBare(operations[readers[0]].inputs[0])
      else { continue }
      operations[readers[0]] = Operation(
        kind: .separable(depthwise, pointwise), inputs: operations[index].inputs,
        output: operations[readers[0]].output,
        parameters: operations[index].parameters + operations[readers[0]].parameters)
      operations.remove(at: index)
    }
    return operations
  }

  /// A 3×3 maximum pooling with stride 2 that only a sum reads becomes one with it, if nothing else reads
  /// the map that is pooled: the sums that the norm before the pooling needs are then taken over the
  /// maxima, and its gradient is nowhere stored but made where it is used.
  func withPooledSums() -> [Operation] {
    var operations = operations
    for index in operations.indices.reversed() {
      guard case .maximumPool(Window(3, stride: 2, padding: .zeros(1))) = operations[index].kind
      else { continue }
      let (pooled, made) = (operations[index].inputs[0], operations[index].output)
      let readers = Self.readers(of: made, operations)
      guard readers.count == 1, case .sum(nil) = operations[readers[0]].kind,
        Self.readers(of: pooled.map, operations) == [index],
        isBare(pooled, affineToo: false), !maps[pooled.map].isVector
      else { continue }
      let sum = operations[readers[0]]
      let others = sum.inputs.filter { $0.map != made }
      guard others.count == 1, isBare(others[0], affineToo: false), maps[made].affine == nil,
        maps[sum.output].affine == nil,
        sum.inputs.allSatisfy({ $0.map != made || isBare($0) })
      else { continue }
      operations[readers[0]] = Operation(
        kind: .pooledSum, inputs: [pooled, others[0]], output: sum.output, parameters: [])
      operations.remove(at: index)
    }
    return operations
  }

  /// A strided 1×1 convolution that only a sum reads runs just before the sum, if a separable convolution
  /// reads the same map before it. On the way back it is then the first to add to that map's gradient and
  /// stores the pixels that it has seen, and no others; the separable one adds the rest.
  func withDelayedShortcuts() -> [Operation] {
    var operations = operations
    for index in operations.indices.reversed() where isStridedShortcut(operations[index]) {
      let readers = Self.readers(of: operations[index].output, operations)
      guard readers.count == 1 else { continue }
      switch operations[readers[0]].kind {
      case .sum, .pooledSum: break
      default: continue
      }
      let map = operations[index].inputs[0].map
      guard
        Self.readers(of: map, operations).contains(where: {
          $0 != index && isPlainSeparable(operations[$0])
        })
      else { continue }
      operations.insert(operations[index], at: readers[0])
      operations.remove(at: index)
    }
    return operations
  }

  /// Operations that read a map, in forward order.
  private static func readers(of map: Int, _ operations: [Operation]) -> [Int] {
    operations.indices.filter { operations[$0].reads(map) }
  }

  /// A 1×1 convolution that sees every other row and column of a map as it is or behind a ReLU.
  func isStridedShortcut(_ operation: Operation) -> Bool {
    guard case .convolution(let layer) = operation.kind else { return false }
    return layer.window == Window(1, stride: 2) && isRectified(operation.inputs[0])
  }

  /// A separable convolution whose depthwise one is 3×3 with stride 1, over a map as it is or behind a
  /// ReLU: one kernel goes through the stored map then, and one all the way back.
  func isPlainSeparable(_ operation: Operation) -> Bool {
    guard case .separable(let depthwise, _) = operation.kind else { return false }
    return depthwise.window == Window(3, padding: .zeros(1)) && isRectified(operation.inputs[0])
  }

  /// A map is seen as it is or behind a ReLU, and nothing else.
  private func isRectified(_ view: MapView) -> Bool {
    view.gate == nil && (view.activation == .identity || view.activation == .relu)
      && !maps[view.map].isVector
  }
}
