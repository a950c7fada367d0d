extension NetworkGraph {
  /// MobileNetV2 (Sandler et al. 2018) as timm's `mobilenetv2_100` declares it.
  static func mobilenetV2() -> NetworkGraph {
    // Blocks, stride, expansion, channels.
    let stages: [(Int, Int, Int, Int)] = [
      (1, 1, 1, 16), (2, 2, 6, 24), (3, 2, 6, 32), (4, 2, 6, 64), (3, 1, 6, 96), (3, 2, 6, 160),
      (1, 1, 6, 320),
    ]
    var net = NetworkBuilder()
    var x = net.convolution("conv_stem", net.image, 32, Window(3, stride: 2, padding: .zeros(1)))
    x = net.activation(.relu6, net.batchNorm("bn1", x))
    let count = Double(stages.reduce(0) { $0 + $1.0 })
    var number = 0.0
    for (s, (blocks, stride, expansion, outputs)) in stages.enumerated() {
      for block in 0..<blocks {
        x = net.invertedResidual(
          "blocks.\(s).\(block)", x, outputs,
          Window(3, stride: block == 0 ? stride : 1, padding: .zeros(1)), expansion: expansion,
          activation: .relu6, squeezes: false, share: number / count)
        number += 1
      }
      net.stage("blocks.\(s)", x)
    }
    x = net.convolution("conv_head", x, 1280, Window(1))
    x = net.activation(.relu6, net.batchNorm("bn2", x))
    return net.graph(head: "classifier", of: net.globalAverage(x))
  }
}

extension PublishedNames {
  /// timm has the names here.
  static let mobilenetV2 = PublishedNames(
    head: "classifier", otherHeads: ["fc", "last_linear", "head.fc", "head"], extras: [])
}
