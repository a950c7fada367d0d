import Testing

@testable import Networks
@testable import Tensors

/// The engine on small networks made for the purpose: derivatives of every operation, window,
/// padding and stride; memory; and what reproducible runs stand on.
@Suite(.serialized) struct GraphTests {
  static let crop = 21

  // MARK: Networks

  /// What stands in the middle of a small network.
  enum Middle: Sendable, CustomTestStringConvertible {
    case dense(Window, bias: Bool)
    case depthwise(Window)
    /// A depthwise convolution, and nothing between it and a pointwise one.
    case separable(Window)
    case grouped(Window, groups: Int)
    case average(Window, countsPadding: Bool)
    case maximum(Window)
    case smooth(Activation)
    case residual
    case squeeze
    /// A map behind a gate that is read before its activation too, two gates of one sum, and the average
    /// of what is behind a gate.
    case gates
    case concatenation
    case layerNorm
    case twoNorms
    case flatten
    case patches

    var testDescription: String {
      switch self {
      case .dense(let window, let bias): "dense \(Self.name(window))\(bias ? " with a bias" : "")"
      case .depthwise(let window): "depthwise \(Self.name(window))"
      case .separable(let window): "separable \(Self.name(window))"
      case .grouped(let window, let groups): "\(groups) groups \(Self.name(window))"
      case .average(let window, let countsPadding):
        "average \(Self.name(window))\(countsPadding ? " and padding" : "")"
      case .maximum(let window): "maximum \(Self.name(window))"
      default: "\(self)"
      }
    }

    var isPatch: Bool { if case .patches = self { true } else { false } }

    private static func name(_ window: Window) -> String {
      "\(window.size) by \(window.stride), \(window.padding), dilation \(window.dilation)"
    }
  }

  static let middles: [Middle] =
    [
      Window(1), Window(1, stride: 2), Window(2, stride: 2), Window(3, padding: .zeros(1)),
      Window(3), Window(3, stride: 2, padding: .zeros(1)), Window(3, stride: 2, padding: .same),
      Window(3, stride: 2, padding: .sameOf(16)), Window(3, padding: .zeros(2), dilation: 2),
      Window(4, stride: 4), Window(5, padding: .zeros(2)), Window(5, stride: 2, padding: .same),
      Window(7, stride: 2, padding: .zeros(3)), Window(7, padding: .same),
    ].map { Middle.dense($0, bias: false) }
    + [
      Window(3, padding: .zeros(1)), Window(3, stride: 2, padding: .zeros(1)),
      Window(3, stride: 2, padding: .same), Window(3, stride: 2, padding: .sameOf(16)),
      Window(5, padding: .zeros(2)), Window(5, stride: 2, padding: .zeros(2)),
      Window(5, stride: 2, padding: .same), Window(7, padding: .zeros(3)),
      Window(7, stride: 2, padding: .zeros(3)), Window(3, stride: 3),
      Window(3, padding: .zeros(2), dilation: 2),
      Window(3, stride: 2, padding: .zeros(3), dilation: 3),
      Window(5, stride: 2, padding: .same, dilation: 2),
    ].map { Middle.depthwise($0) }
    + layersOfOtherNetworks
    + [
      Window(3, padding: .zeros(1)), Window(3, stride: 2, padding: .same),
      Window(5, padding: .zeros(2)), Window(7, stride: 2, padding: .zeros(3)),
    ].map { Middle.separable($0) }
    + [
      Window(2, stride: 2), Window(3, stride: 2, padding: .zeros(1)), Window(4, stride: 4),
      Window(3, stride: 2, padding: .same),
    ].map { Middle.maximum($0) }
    + [Activation.silu, .gelu, .sigmoid, .leakyReLU(slope: 0.1), .relu, .relu6, .hardSwish].map {
      Middle.smooth($0)
    } + [
      .dense(Window(3, padding: .zeros(1)), bias: true), .residual, .squeeze, .gates,
      .concatenation, .layerNorm, .twoNorms, .flatten, .patches,
    ]

  /// Layers that no network here has yet.
  static let layersOfOtherNetworks: [Middle] =
    [
      (Window(1), 4), (Window(1, stride: 2), 2), (Window(3, padding: .zeros(1)), 4),
      (Window(3, stride: 2, padding: .zeros(1)), 2), (Window(3, stride: 2, padding: .same), 6),
      (Window(3, padding: .zeros(2), dilation: 2), 4), (Window(5, stride: 2, padding: .same), 12),
      (Window(2, stride: 2), 3),
    ].map { Middle.grouped($0.0, groups: $0.1) }
    + [
      Window(2, stride: 2), Window(3, padding: .zeros(1)), Window(3, stride: 2, padding: .zeros(1)),
      Window(3, stride: 2, padding: .same), Window(5, stride: 3, padding: .zeros(2)),
    ].flatMap {
      [Middle.average($0, countsPadding: true), .average($0, countsPadding: false)]
    }

  /// Image → 3×3 → norm → SiLU → middle → norm → SiLU → mean → two logits; 11 and 20 channels, so that
  /// padding is there.
  static func network(_ middle: Middle) -> NetworkGraph {
    var net = NetworkBuilder()
    var x = net.convolution("first", net.image, 11, Window(3, stride: 2, padding: .same))
    x = net.activation(.silu, net.batchNorm("norm1", x))
    switch middle {
    case .dense(let window, let bias): x = net.convolution("middle", x, 20, window, bias: bias)
    case .depthwise(let window): x = net.depthwise("middle", x, window)
    case .separable(let window):
      x = net.convolution("middle", net.depthwise("each", x, window), 20, Window(1))
    case .grouped(let window, let groups):
      // 12 channels to 24, so that padding is there.
      x = net.activation(.silu, net.convolution("before", x, 12, Window(1), bias: true))
      x = net.grouped("middle", x, 24, window, groups: groups, bias: true)
    case .average(let window, let countsPadding):
      x = net.averagePool(x, window, countsPadding: countsPadding)
    case .maximum(let window): x = net.maximumPool(x, window)
    case .smooth(let activation):
      x = net.activation(activation, net.convolution("middle", x, 20, Window(1), bias: true))
    case .residual:
      let y = net.batchNorm("branch.norm", net.convolution("branch", x, 11, Window(1)))
      x = net.sum(net.layerScale("gamma", y, initial: 0.5), x)
      let z = net.convolution("other", net.activation(.silu, x), 11, Window(1), bias: true)
      x = net.sum(net.layerScale("second.gamma", z, initial: 0.5), x)
    case .squeeze:
      var gate = net.activation(
        .silu, net.linear("reduce", net.globalAverage(x), 5, isConvolution: true))
      gate = net.linear("expand", gate, 11, isConvolution: true)
      x = net.gated(x, by: net.activation(.sigmoid, gate))
      x = net.convolution("middle", x, 20, Window(1))
    case .gates:
      func gated(_ x: NetworkBuilder.Value, _ name: String) -> NetworkBuilder.Value {
        let gate = net.linear(name, net.globalAverage(x), 11, isConvolution: true)
        return net.gated(x, by: net.activation(.sigmoid, gate))
      }
      let before = net.convolution("middle", x, 11, Window(1), bias: true)
      let after = net.activation(.gelu, before)
      x = net.sum(gated(after, "gate1"), gated(before, "gate2"))
      x = net.activation(.silu, net.batchNorm("norm2", x))
      return net.graph(head: "head", of: net.globalAverage(gated(x, "gate3")))
    case .concatenation:
      let parts = [7, 4, 2].enumerated().map { number, width in
        net.convolution(
          "part\(number)", x, width, Window(3, padding: .zeros(number + 1), dilation: number + 1))
      }
      x = net.concatenation(parts)
    case .layerNorm: x = net.layerNorm("middle", x, epsilon: 1e-6)
    case .patches: x = net.convolution("middle", x, 20, Window(3, stride: 2))
    case .twoNorms:
      // The same norm again, and one behind an activation.
      x = net.batchNorm("norm1", net.convolution("middle", x, 11, Window(1)))
      x = net.batchNorm("norm3", net.activation(.silu, x))
    case .flatten:
      x = net.convolution("middle", x, 3, Window(3, stride: 4))
      x = net.flatten(x, pixels: 9)
      x = net.activation(.gelu, net.linear("hidden", x, 10))
      return net.graph(head: "head", of: net.layerNorm("last", x, epsilon: 1e-6))
    }
    x = net.activation(.silu, net.batchNorm("norm2", x))
    if case .patches = middle { return net.graph(patchHead: "head", of: x) }
    return net.graph(head: "head", of: net.globalAverage(x))
  }

  static func detector(_ graph: NetworkGraph, seed: UInt64 = 9) -> Detector {
    let detector = Detector(.resnet18, graph)
    detector.initialise(seed: seed)
    var draws = Draws(seed)
    // Norms and biases away from where their gradients are special.
    for parameter in detector.parameters where parameter.layout == .vector {
      let isShift = parameter.name.hasSuffix("bias")
      parameter.store(
        draws.rough(parameter.publishedCount, limit: 0.4).map { isShift ? $0 : 1 + $0 },
        into: detector.values.baseAddress!)
    }
    for norm in detector.norms {
      for c in 0..<norm.channels {
        detector.runningMean(norm)[c] = draws.rough(1, limit: 0.3)[0]
        detector.runningVariance(norm)[c] = 1 + draws.rough(1, limit: 0.5)[0]
      }
    }
    return detector
  }

  // MARK: Derivatives

  private static func norm(_ values: [Double]) -> Double {
    values.reduce(0) { $0 + $1 * $1 }.squareRoot()
  }

  /// Half `gradient`, half noise of the same norm, together of norm one.
  private static func direction(_ gradient: [Float], _ draws: inout Draws) -> [Double] {
    let noise = draws.normal(gradient.count).map(Double.init)
    let gradient = gradient.map(Double.init)
    let (n, g) = (norm(noise), max(norm(gradient), 1e-30))
    let sum = zip(gradient, noise).map { $0 / g + $1 / n }
    let length = norm(sum)
    return sum.map { $0 / length }
  }

  /// (4·D(h) − D(2h))/3 and how far the two are apart.
  private static func difference(
    step: Double, rounding: Double, _ function: (Double) throws -> Double
  ) rethrows -> (value: Double, error: Double) {
    let near = try (function(step) - function(-step)) / (2 * step)
    let far = try (function(2 * step) - function(-2 * step)) / (4 * step)
    return ((4 * near - far) / 3, 2 * abs(near - far) + 1.5 * rounding / step)
  }

  /// Central differences of the loss along directions of every weight; the error bar is taken from the
  /// function itself, as in ``FiniteDifferenceTests``.
  @Test(arguments: middles)
  func everyWeightGradientIsTheLosssDerivative(middle: Middle) throws {
    let detector = Self.detector(Self.network(middle))
    let (images, labels) = Fixture.batch([3, 8, 13, 22, 31], crop: Self.crop)
    let program = TrainingProgram(
      detector, crop: Self.crop, batch: labels.count, workers: WorkerPool(threads: 1))
    let gradients = try TrainingResult.of(program, images, labels).gradients
    var draws = Draws(61)
    var sharp = 0
    var judged = 0
    for parameter in detector.parameters {
      let gradient = gradients.withUnsafeBufferPointer {
        parameter.published(from: $0.baseAddress!)
      }
      let values = parameter.published(from: detector.values.baseAddress!)
      let size = max(
        Self.norm(values.map(Double.init)), 0.3 * Double(values.count).squareRoot())
      let direction = Self.direction(gradient, &draws)
      let expected = zip(direction, gradient).reduce(0) { $0 + $1.0 * Double($1.1) }
      let step = min(2e-3 / max(abs(expected), 1e-12), 0.02 * size)
      let measured = try Self.difference(step: step, rounding: 2e-7) { step in
        let moved = zip(values, direction).map { Float(Double($0) + step * $1) }
        parameter.store(moved, into: detector.values.baseAddress!)
        program.refresh()
        return try program.forward(images: images, labels: labels)
      }
      parameter.store(values, into: detector.values.baseAddress!)
      judged += 1
      if measured.error < 0.1 * abs(expected) { sharp += 1 }
      #expect(
        abs(measured.value - expected) < 0.03 * abs(expected) + measured.error,
        "\(parameter.name): measured \(measured), computed \(expected), step \(step)")
    }
    // The error bars leave something to be tested. (A bias before a norm has no gradient at all.)
    #expect(Double(sharp) > 0.6 * Double(judged), "\(sharp) of \(judged)")
  }

  /// What FAM is the gradient of: z_fake − z_real, of a patch head its mean over positions (but for the
  /// bias, which the activation maps don't have).
  private static func attended(
    _ inference: InferenceProgram, _ image: [Float], isPatch: Bool
  ) -> Double {
    let size = inference.featureHeight * inference.featureWidth
    var logits = [Float](repeating: .nan, count: 2)
    guard isPatch else {
      inference.run(images: image, count: 1, logits: &logits)
      return Double(logits[1]) - Double(logits[0])
    }
    var maps = [Float](repeating: .nan, count: 2 * size)
    inference.run(images: image, count: 1, logits: &logits, activationMaps: &maps)
    return (0..<size).reduce(0) { $0 + Double(maps[size + $1]) - Double(maps[$1]) } / Double(size)
  }

  @Test(arguments: middles)
  func inputGradientIsTheDerivativeOfTheLogits(middle: Middle) throws {
    let detector = Self.detector(Self.network(middle))
    let workers = WorkerPool(threads: 1)
    let (images, _) = Fixture.batch([3, 8], crop: Self.crop)
    let attention = AttentionProgram(detector, crop: Self.crop, workers: workers)
    attention.refresh()
    let result = AttentionResult.of(attention, images, selected: [0, 1])
    let inference = InferenceProgram(detector, crop: Self.crop, workers: workers)
    inference.refresh()
    #expect(inference.logits(images, count: 2) == result.logits)
    var draws = Draws(62)
    for n in 0..<2 {
      let gradient = result.inputGradient(n)
      let image = Array(images[n * gradient.count..<(n + 1) * gradient.count])
      let direction = Self.direction(gradient, &draws)
      let expected = zip(direction, gradient).reduce(0) { $0 + $1.0 * Double($1.1) }
      let size = Double(max(abs(result.logits[2 * n]), abs(result.logits[2 * n + 1]), 1))
      let measured = Self.difference(
        step: min(0.02 * size / max(abs(expected), 1e-12), 1), rounding: 5e-7 * size
      ) { step in
        let moved = zip(image, direction).map { Float(Double($0) + step * $1) }
        return Self.attended(inference, moved, isPatch: middle.isPatch)
      }
      #expect(
        abs(measured.value - expected) < 0.03 * abs(expected) + measured.error,
        "measured \(measured), computed \(expected)")
      #expect(measured.error < 0.3 * abs(expected), "\(measured), \(expected)")
    }
  }

  // MARK: Large maps

  /// A layer, and another one that makes the same sums.
  enum Twin: String, CaseIterable, Sendable { case grouped, average, dilated }

  /// Image → 3×3 → norm → SiLU → the layer, or the other one → norm → SiLU → mean → two logits.
  private static func network(_ twin: Twin, isOther: Bool) -> NetworkGraph {
    var net = NetworkBuilder()
    var x = net.convolution("first", net.image, 12, Window(3, stride: 2, padding: .same))
    x = net.activation(.silu, net.batchNorm("norm1", x))
    let half = Window(3, stride: 2, padding: .zeros(1))
    switch (twin, isOther) {
    case (.grouped, false):
      x = net.grouped("middle", x, 24, Window(3, padding: .zeros(1)), groups: 4)
    case (.grouped, true): x = net.convolution("middle", x, 24, Window(3, padding: .zeros(1)))
    case (.average, false): x = net.averagePool(x, half)
    case (.average, true): x = net.depthwise("middle", x, half)
    case (.dilated, false):
      x = net.depthwise("middle", x, Window(3, padding: .zeros(2), dilation: 2))
    case (.dilated, true): x = net.depthwise("middle", x, Window(5, padding: .zeros(2)))
    }
    x = net.activation(.silu, net.batchNorm("norm2", x))
    return net.graph(head: "head", of: net.globalAverage(x))
  }

  /// Where in the other's weights, as published, a weight of the layer stands.
  private static func place(_ i: Int, _ twin: Twin) -> Int {
    switch twin {
    case .grouped:
      // (24, 3, 3, 3) in (24, 12, 3, 3): 6 outputs and 3 inputs a group.
      let (output, rest) = i.quotientAndRemainder(dividingBy: 27)
      return output * 108 + output / 6 * 27 + rest
    case .dilated:
      let (channel, tap) = i.quotientAndRemainder(dividingBy: 9)
      return channel * 25 + tap / 3 * 10 + tap % 3 * 2
    case .average: return i
    }
  }

  /// On maps of several tiles, which the small networks above don't have.
  @Test(arguments: Twin.allCases) func aLayerIsWhatAnotherOneMakesOfTheSameWeights(
    twin: Twin
  ) throws {
    let (crop, name) = (97, "middle.weight")
    let workers = WorkerPool(threads: 2)
    let (images, labels) = Fixture.batch([3, 8, 13], crop: crop)
    let own = Self.detector(Self.network(twin, isOther: false))
    let other = Self.detector(Self.network(twin, isOther: true))
    let byName = Dictionary(
      uniqueKeysWithValues: own.tensors(of: own.values.baseAddress!).map { ($0.name, $0.values) })
    for parameter in other.parameters {
      var values = byName[parameter.name] ?? []
      if parameter.name == name {
        values = Array(
          repeating: twin == .average ? 1.0 / 9 : 0, count: parameter.publishedCount)
        for (i, value) in (byName[name] ?? []).enumerated() { values[Self.place(i, twin)] = value }
      }
      parameter.store(values, into: other.values.baseAddress!)
    }
    _ = other.runningStatistics.update(fromContentsOf: own.runningStatistics)
    var attention: [AttentionResult] = []
    var gradients: [[String: [Float]]] = []
    var losses: [Double] = []
    for detector in [own, other] {
      let fam = AttentionProgram(detector, crop: crop, workers: workers)
      fam.refresh()
      attention.append(AttentionResult.of(fam, images, selected: [0, 1, 2]))
      let program = TrainingProgram(detector, crop: crop, batch: 3, workers: workers)
      losses.append(try TrainingResult.of(program, images, labels).loss)
      gradients.append(
        Dictionary(
          uniqueKeysWithValues: detector.tensors(of: detector.gradients.baseAddress!).map {
            ($0.name, $0.values)
          }))
    }
    #expect(relativeDistance(attention[0].logits, attention[1].logits) < 1e-5)
    #expect(relativeDistance(attention[0].gradients, attention[1].gradients) < 1e-5)
    #expect(abs(losses[0] - losses[1]) < 1e-6)
    for (key, values) in gradients[0] {
      var wanted = gradients[1][key]!
      if key == name { wanted = values.indices.map { wanted[Self.place($0, twin)] } }
      #expect(relativeDistance(values, wanted) < 1e-4, "\(key)")
    }
  }

  /// Separable convolutions and a pooling beside a strided shortcut, then separable ones beside the map
  /// itself.
  ///
  /// - Parameters:
  ///   - rectifiesShortcut: it sees the map as the first separable convolution does, behind a ReLU.
  ///   - hasNorms: norms, or biases alone.
  ///   - isApart: the same function of layers for which there are no kernels of their own: ReLUs are leaky
  ///     ones of slope 0, and a factor of 1 stands behind the pooling.
  private static func block(rectifiesShortcut: Bool, hasNorms: Bool, isApart: Bool) -> NetworkGraph
  {
    var net = NetworkBuilder()
    let activation = isApart ? Activation.leakyReLU(slope: 0) : .relu
    func pixelwise(_ name: String, _ x: NetworkBuilder.Value, _ outputs: Int, stride: Int = 1)
      -> NetworkBuilder.Value
    {
      let y = net.convolution(name, x, outputs, Window(1, stride: stride), bias: !hasNorms)
      return hasNorms ? net.batchNorm("\(name).norm", y) : y
    }
    func separable(_ name: String, _ x: NetworkBuilder.Value) -> NetworkBuilder.Value {
      let y = net.activation(activation, x)
      return pixelwise(name, net.depthwise("\(name).each", y, Window(3, padding: .zeros(1))), 20)
    }
    var x = net.convolution("first", net.image, 11, Window(3, stride: 2, padding: .same))
    x = pixelwise("before", net.activation(.silu, net.batchNorm("norm1", x)), 11)
    let seen = rectifiesShortcut ? net.activation(activation, x) : x
    let shortcut = pixelwise("skip", seen, 20, stride: 2)
    var y = separable("two", separable("one", x))
    y = net.maximumPool(y, Window(3, stride: 2, padding: .zeros(1)))
    x = net.sum(isApart ? net.layerScale("unity", y, initial: 1) : y, shortcut)
    x = net.sum(separable("four", separable("three", x)), x)
    x = net.activation(.silu, net.batchNorm("norm2", net.convolution("after", x, 13, Window(1))))
    return net.graph(head: "head", of: net.globalAverage(x))
  }

  /// What is fused, gathered, swept and stored nowhere gives what its parts give.
  @Test(arguments: [(false, true), (true, true), (false, false), (true, false)])
  func aPooledBlockIsWhatItsPartsMake(rectifiesShortcut: Bool, hasNorms: Bool) throws {
    let workers = WorkerPool(threads: 2)
    for crop in [97, 64, 33] {
      let (images, labels) = Fixture.batch([3, 8, 13, 21, 34], crop: crop)
      var attention: [AttentionResult] = []
      var gradients: [[String: [Float]]] = []
      var losses: [Double] = []
      var values: [String: [Float]] = [:]
      for isApart in [false, true] {
        let graph = Self.block(
          rectifiesShortcut: rectifiesShortcut, hasNorms: hasNorms, isApart: isApart)
        let kinds = LoweredNetwork(graph, crop: crop).operations.map(\.kind)
        let isFused = kinds.contains { if case .pooledSum = $0 { true } else { false } }
        #expect(isFused == !isApart)
        let detector = Self.detector(graph)
        for parameter in detector.parameters {
          if isApart {
            let ones = [Float](repeating: 1, count: parameter.publishedCount)
            parameter.store(values[parameter.name] ?? ones, into: detector.values.baseAddress!)
          } else {
            values[parameter.name] = parameter.published(from: detector.values.baseAddress!)
          }
        }
        for c in 0..<detector.runningStatistics.count {
          detector.runningStatistics[c] = 1
        }
        let fam = AttentionProgram(detector, crop: crop, workers: workers)
        fam.refresh()
        attention.append(AttentionResult.of(fam, images, selected: [0, 1, 2, 3, 4]))
        let program = TrainingProgram(detector, crop: crop, batch: 5, workers: workers)
        losses.append(try TrainingResult.of(program, images, labels).loss)
        gradients.append(
          Dictionary(
            uniqueKeysWithValues: detector.tensors(of: detector.gradients.baseAddress!).map {
              ($0.name, $0.values)
            }))
      }
      #expect(relativeDistance(attention[0].logits, attention[1].logits) < 1e-5)
      #expect(relativeDistance(attention[0].gradients, attention[1].gradients) < 1e-4)
      #expect(abs(losses[0] - losses[1]) < 1e-6)
      // The last bias is taken off by the norm behind the sum: its gradient is rounding alone.
      let withoutGradient = hasNorms ? "four.norm.bias" : "four.bias"
      for (name, gradient) in gradients[0] where name != withoutGradient {
        #expect(relativeDistance(gradient, gradients[1][name]!) < 1e-3, "\(crop): \(name)")
      }
    }
  }

  // MARK: Memory

  @Test func noTwoBuffersThatLiveTogetherOverlap() {
    var draws = Draws(71)
    for _ in 0..<200 {
      var plan = ArenaPlan()
      let moments = 1 + draws.below(40)
      for _ in 0..<1 + draws.below(60) {
        let first = draws.below(moments)
        _ = plan.add(
          bytes: draws.below(5000), first: first, last: first + draws.below(moments - first))
      }
      let (offsets, size) = plan.placed()
      let buffers = plan.buffers
      for a in buffers.indices {
        #expect(offsets[a] % 64 == 0 && offsets[a] + buffers[a].size <= size)
        for b in buffers.indices where b > a {
          let together = buffers[a].first <= buffers[b].last && buffers[b].first <= buffers[a].last
          let overlap =
            offsets[a] < offsets[b] + buffers[b].size && offsets[b] < offsets[a] + buffers[a].size
            && buffers[a].size > 0 && buffers[b].size > 0
          #expect(!(together && overlap))
        }
      }
      // No more than all of them, no less than what lives at any moment.
      let needed = (0..<moments).map { moment in
        buffers.filter { $0.first <= moment && moment <= $0.last }.reduce(0) { $0 + $1.size }
      }.max()!
      #expect(size >= needed && size <= buffers.reduce(0) { $0 + $1.size })
    }
  }

  /// A network of random layers, with sums, gates and concatenations between any that fit.
  private static func random(_ draws: inout Draws) -> NetworkGraph {
    var net = NetworkBuilder()
    let activations: [Activation] = [.relu, .silu, .relu6, .leakyReLU(slope: 0.1), .gelu]
    var x = net.convolution("first", net.image, 11, Window(3, stride: 2, padding: .zeros(1)))
    x = net.relu(net.batchNorm("first.norm", x))
    var earlier = [x]
    for number in 0..<3 + draws.below(6) {
      let name = "layer\(number)"
      let from = earlier[draws.below(earlier.count)]
      switch draws.below(10) {
      case 0: x = net.convolution(name, x, 11, Window(3, padding: .zeros(1)), bias: true)
      case 1: x = net.depthwise(name, x, Window(5, padding: .zeros(2)))
      case 2: x = net.maximumPool(x, Window(3, padding: .zeros(1)))
      case 3: x = net.layerNorm(name, x, epsilon: 1e-5)
      case 4:
        let gate = net.linear("\(name).gate", net.globalAverage(x), 11)
        x = net.gated(x, by: net.activation(.sigmoid, gate))
        x = net.convolution(name, x, 11, Window(1))
      case 5:
        x = net.convolution(name, net.concatenation([x, from]), 11, Window(1))
      case 6: x = net.residual(x, from, share: 1)
      case 7: x = net.averagePool(x, Window(3, padding: .zeros(1)), countsPadding: false)
      case 8:
        x = net.convolution("\(name).before", x, 12, Window(1))
        x = net.grouped("\(name).groups", x, 12, Window(3, padding: .zeros(1)), groups: 4)
        x = net.convolution(name, x, 11, Window(1))
      default: x = net.convolution(name, x, 11, Window(1))
      }
      if draws.below(2) == 0 { x = net.batchNorm("\(name).norm", x) }
      if draws.below(2) == 0 { x = net.activation(activations[draws.below(5)], x) }
      if draws.below(3) == 0 { x = net.residual(x, from, share: 0.5) }
      earlier.append(x)
    }
    return net.graph(head: "head", of: net.globalAverage(x))
  }

  /// With each buffer in a place of its own the results are the same to the last bit.
  @Test(arguments: [0, 0.5]) func sharedMemoryChangesNothingInRandomNetworks(
    dropPath: Double
  ) throws {
    var draws = Draws(72)
    let workers = WorkerPool(threads: 2)
    let (images, labels) = Fixture.batch([3, 8, 13, 22, 31], crop: Self.crop)
    var saved = 0
    for seed in 0..<25 {
      let graph = Self.random(&draws)
      var results: [TrainingResult] = []
      var attention: [[Float]] = []
      var sizes: [Int] = []
      for shares in [true, false] {
        let detector = Self.detector(graph, seed: UInt64(seed))
        let program = GraphTraining(
          detector, graph, crop: Self.crop, batch: 5, precision: .float32, workers: workers,
          reduction: nil, sharesMemory: shares,
          regularisation: Regularisation(dropout: dropPath / 2, dropPath: dropPath))
        program.refresh()
        let loss = try images.withUnsafeBufferPointer { images in
          try labels.withUnsafeBufferPointer { labels in
            let loss = try [0, 1, 2, 3, 4].withUnsafeBufferPointer { numbers in
              try program.forward(
                images: images.baseAddress!, labels: labels.baseAddress!,
                keys: SampleKeys(seed: 1, visits: numbers, identifiers: numbers))
            }
            try program.backward(accumulate: false)
            return loss
          }
        }
        results.append(
          TrainingResult(
            loss: loss, logits: Array(program.logits), gradients: Array(detector.gradients),
            running: Array(detector.runningStatistics)))
        sizes.append(program.pass.size)
        let engine = GraphAttention(
          detector, graph, crop: Self.crop, precision: .float32, groupSize: 4, workers: workers,
          sharing: nil, sharesMemory: shares)
        engine.refresh()
        var gradients = [Float](repeating: .nan, count: images.count)
        Array(0..<5).withUnsafeBufferPointer {
          engine.run(images: images, selected: $0, logits: nil, gradients: &gradients)
        }
        attention.append(gradients)
      }
      #expect(results[0] == results[1], "network \(seed)")
      #expect(attention[0] == attention[1], "network \(seed)")
      #expect(!results[0].gradients.contains { !$0.isFinite })
      if sizes[0] < sizes[1] { saved += 1 }
    }
    #expect(saved > 20)
  }

  // MARK: Laws

  static let networks: [DetectorName] = [
    .resnet18, .efficientnetB0, .mobilenetV2, .vgg16BN, .convnextTiny, .mesoInception4,
  ]

  private static func crop(_ name: DetectorName) -> Int { name == .mesoInception4 ? 256 : 64 }

  @Test(arguments: networks, Precision.allCases)
  func resultsDoNotDependOnTheThreads(name: DetectorName, precision: Precision) throws {
    let crop = Self.crop(name)
    let (images, labels) = Fixture.batch([2, 5, 7, 12, 15], crop: crop)
    var training: [TrainingResult] = []
    var attention: [AttentionResult] = []
    for threads in [1, 3] {
      let workers = WorkerPool(threads: threads)
      let detector = try Fixture.drawn(name)
      let fam = AttentionProgram(detector, crop: crop, precision: precision, workers: workers)
      fam.refresh()
      attention.append(AttentionResult.of(fam, images, selected: Array(0..<5)))
      let program = TrainingProgram(
        detector, crop: crop, batch: 5, precision: precision, workers: workers)
      training.append(try TrainingResult.of(program, images, labels))
    }
    #expect(attention[0] == attention[1] && training[0] == training[1])
    #expect(!attention[0].gradients.contains { !$0.isFinite })
    #expect(!training[0].gradients.contains { !$0.isFinite })
  }

  /// bfloat16 is float32 but for its rounding.
  @Test(
    arguments: [DetectorName.resnet18, .efficientnetB0, .convnextTiny, .mesoInception4])
  func bfloat16IsNearFloat32(name: DetectorName) throws {
    let crop = Self.crop(name)
    let (images, labels) = Fixture.batch([2, 5, 7, 12, 15], crop: crop)
    let workers = WorkerPool(threads: 2)
    var gradients: [[Float]] = []
    var logits: [[Float]] = []
    for precision in [Precision.float32, .bfloat16] {
      let detector = try Fixture.drawn(name)
      let inference = InferenceProgram(
        detector, crop: crop, precision: precision, workers: workers)
      inference.refresh()
      logits.append(inference.logits(images, count: 5))
      let program = TrainingProgram(
        detector, crop: crop, batch: 5, precision: precision, workers: workers)
      gradients.append(try TrainingResult.of(program, images, labels).gradients)
    }
    #expect(logits[0] != logits[1])
    #expect(relativeDistance(logits[1], logits[0]) < 0.05)
    #expect(cosine(gradients[0], gradients[1]) > 0.9)
  }

  /// The same of layers that no network here has yet.
  @Test(arguments: layersOfOtherNetworks)
  func bfloat16IsNearFloat32(middle: Middle) throws {
    let (images, labels) = Fixture.batch([3, 8, 13, 22, 31], crop: Self.crop)
    let workers = WorkerPool(threads: 2)
    var results: [(logits: [Float], attention: [Float], gradients: [Float])] = []
    for precision in [Precision.float32, .bfloat16] {
      let detector = Self.detector(Self.network(middle))
      let attention = AttentionProgram(
        detector, crop: Self.crop, precision: precision, workers: workers)
      attention.refresh()
      let fam = AttentionResult.of(attention, images, selected: Array(0..<5))
      let program = TrainingProgram(
        detector, crop: Self.crop, batch: 5, precision: precision, workers: workers)
      let gradients = try TrainingResult.of(program, images, labels).gradients
      results.append((fam.logits, fam.gradients, gradients))
    }
    #expect(results[0].logits != results[1].logits)
    #expect(relativeDistance(results[1].logits, results[0].logits) < 0.05)
    #expect(cosine(results[0].attention, results[1].attention) > 0.99)
    #expect(cosine(results[0].gradients, results[1].gradients) > 0.98)
  }

  @Test(arguments: networks)
  func gradientsCalledFinalAreFinal(name: DetectorName) throws {
    let crop = Self.crop(name)
    let detector = try Fixture.drawn(name)
    let program = TrainingProgram(
      detector, crop: crop, batch: 3, workers: WorkerPool(threads: 2))
    let (images, labels) = Fixture.batch([2, 5, 7], crop: crop)
    for accumulate in [false, true] {
      program.refresh()
      var seen: [(count: Int, prefix: [Float])] = []
      program.finished = { seen.append(($0, Array(detector.gradients[..<$0]))) }
      _ = try program.pass(images, labels, accumulate: accumulate)
      let final = Array(detector.gradients)
      #expect(seen.count > 3)
      #expect(zip(seen, seen.dropFirst()).allSatisfy { $0.count <= $1.count })
      #expect(seen.last?.count == detector.gradients.count)
      for (count, prefix) in seen {
        #expect(prefix == Array(final[..<count]), "the first \(count)")
      }
    }
  }

  @Test(arguments: networks, [false, true])
  func accumulatedGradientsAreTheSum(name: DetectorName, synchronized: Bool) throws {
    let crop = Self.crop(name)
    let detector = try Fixture.drawn(name)
    let program = TrainingProgram(
      detector, crop: crop, batch: 3, workers: WorkerPool(threads: 2),
      reduction: synchronized ? StatisticsReduction(ranks: 1) { _ in } : nil)
    let (first, firstLabels) = Fixture.batch([2, 5, 7], crop: crop)
    let (second, secondLabels) = Fixture.batch([3, 6, 8], crop: crop)
    let a = try TrainingResult.of(program, first, firstLabels).gradients
    let b = try TrainingResult.of(program, second, secondLabels).gradients
    program.refresh()
    _ = try program.pass(first, firstLabels)
    _ = try program.pass(second, secondLabels, accumulate: true)
    try program.finishGradients()
    #expect(relativeDistance(Array(detector.gradients), zip(a, b).map(+)) < 1e-5)
  }

  /// A batch split over two ranks whose statistics are summed is the whole batch.
  @Test(arguments: networks)
  func statisticsOverRanksAreThoseOfTheGlobalBatch(name: DetectorName) throws {
    let crop = Self.crop(name)
    let workers = WorkerPool(threads: 2)
    let program = TrainingProgram(
      try Fixture.drawn(name), crop: crop, batch: 4, workers: workers,
      reduction: StatisticsReduction(ranks: 1) { _ in })
    // Two ranks with the same two images each: doubling is then what summing over ranks does.
    let (twice, twiceLabels) = Fixture.batch([2, 5, 2, 5], crop: crop)
    let doubled = try TrainingResult.of(program, twice, twiceLabels)
    let rank = TrainingProgram(
      try Fixture.drawn(name), crop: crop, batch: 2, workers: workers,
      reduction: StatisticsReduction(ranks: 2) { sums in
        for i in sums.indices { sums[i] *= 2 }
      })
    let (part, partLabels) = Fixture.batch([2, 5], crop: crop)
    let result = try TrainingResult.of(rank, part, partLabels)
    #expect(abs(result.loss - doubled.loss) < 1e-6)
    #expect(relativeDistance(result.gradients.map { $0 / 2 }, doubled.gradients) < 1e-5)
  }

  /// Not the weights' gradients, nor what only they need.
  @Test func attentionKeepsLessThanTraining() throws {
    for name in [DetectorName.xception, .resnet18, .vgg16BN, .mobilenetV2] {
      let detector = Detector(name)
      let workers = WorkerPool(threads: 1)
      let training = GraphTraining(
        detector, name.graph, crop: 64, batch: 4, precision: .float32, workers: workers,
        reduction: nil)
      let team = GraphTeam(
        detector, name.graph, .attention, crop: 64, precision: .float32, groupSize: 4,
        workers: workers, sharing: nil)
      let pass = team.members[0].pass
      #expect(2 * (pass.size + pass.scratchSize) < training.pass.size, "\(name.rawValue)")
    }
  }

  @Test func whatIsNotANumberIsFoundWhereItBegins() throws {
    let name = DetectorName.resnet18
    let detector = try Fixture.drawn(name)
    let program = TrainingProgram(
      detector, crop: 64, batch: 2, workers: WorkerPool(threads: 1))
    let (images, labels) = Fixture.batch([2, 5], crop: 64)
    _ = try TrainingResult.of(program, images, labels)
    #expect(program.firstNonFiniteOutput() == nil && program.firstNonFiniteGradient() == nil)
    let weight = detector.parameters.first { $0.name == "layer2.1.conv1.weight" }!
    detector.values[weight.offset] = .nan
    let result = try TrainingResult.of(program, images, labels)
    #expect(result.loss.isNaN)
    let place = try #require(program.firstNonFiniteOutput())
    #expect(program.outputNames[place] == "the output of layer2.1.conv1")
    #expect(program.layerNames.first == "conv1" && program.layerNames.last == "fc")
  }
}
