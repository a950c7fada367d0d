import ForgeryMining
import Images
import MessagePassing

private let positive = Double.leastNonzeroMagnitude
private let unbounded = Double.greatestFiniteMagnitude

extension Configuration {
  /// Every setting, in the order in which a configuration is written. Reading, checking, `--set`,
  /// the resolved `config.yaml`, the digest and the documentation all come from this table; the
  /// defaults are those of `Configuration()`.
  public static let keys: [ConfigurationKey] = inputKeys + augmentationKeys + trainingKeys

  /// What is trained on, and what is trained.
  private static let inputKeys: [ConfigurationKey] = [
    .text(
      "run.name", \.run.name, effect: .harmless,
      "Name of the run, and of its folder below run.directory."),
    .text(
      "run.directory", \.run.directory, effect: .harmless, files: true,
      "Folder that holds the runs."),
    .integer(
      "run.seed", \.run.seed, 0...Int.max,
      "What every random draw starts from: order, crops, flips, erasing, initial weights."),
    .boolean(
      "run.tensorboard", \.run.tensorboard, effect: .harmless,
      "Write what is measured, prototypes and example images as TensorBoard's event files into the "
        + "run's folder too."),
    .boolean(
      "run.report", \.run.report, effect: .harmless,
      "Write report.html into the run's folder when rfm train ends; rfm compare writes none, rfm "
        + "report does."),
    .optionalText(
      "run.metrics_file", \.run.metricsFile, effect: .harmless, files: true,
      "File that tells Prometheus what the training is at, written anew every few seconds, such as "
        + "/var/lib/node_exporter/rfm.prom in the folder of node exporter's textfile collector; null: "
        + "none."),

    .texts(
      "data.train", \.data.train, files: true,
      "Training shards: a file pattern such as \"d/train-*.h5\", or a list of them. Required."),
    .texts(
      "data.validation", \.data.validation, effect: .harmless, files: true,
      "Validation shards, likewise; null: no evaluation and no prototypes while training."),
    .texts(
      "data.test", \.data.test, effect: .harmless, files: true,
      "Test shards, likewise, for rfm compare; no training looks at them."),
    .texts(
      "data.exclude_methods", \.data.excludeMethods,
      "Manipulation methods, a name or a list of names, whose images are left out of training and "
        + "validation, to see what a detector makes of a method that it has never met."),
    .integer(
      "data.crop", \.data.crop, 32...4096,
      "Side in pixels of the square that the network sees: a random crop in training, the centre "
        + "in evaluation."),
    .boolean(
      "data.flip", \.data.flip,
      "Mirror training images left to right, each with probability one half."),
    .choice(
      "data.order", \.data.order,
      "shuffled anew every epoch; or sequential: as stored, one image after another, wrapping "
        + "round, whatever data.sampling says."),
    .choice(
      "data.sampling", \.data.sampling,
      "balanced: half real and half fake images in every batch; or uniform: every image equally "
        + "often."),
    .number(
      "data.self_blended", \.data.selfBlended, 0...1,
      "Share of the fakes that are made of real faces by blending each with itself (Shiohara and Yamasaki "
        + "2022), in place of as many of the shards' own; at 1 the shards need have none. Their method is "
        + "self-blended. Needs data.sampling: balanced."),
    .choice(
      "data.assignment", \.data.assignment,
      "sample: any rank reads any training shard; or shard: a rank reads only its own files, for "
        + "disks that belong to a node."),
    .integer(
      "data.prefetch", \.data.prefetch, 1...64, effect: .harmless,
      "Batches that are read ahead of the step."),
    .channels(
      "data.mean", \.data.mean, -unbounded...unbounded,
      "Pixels become (value / 255 - mean) / std; ImageNet's weights were trained with [0.485, 0.456, "
        + "0.406] and [0.229, 0.224, 0.225], or with 0.5 and 0.5."),
    .channels("data.std", \.data.std, positive...unbounded, "See data.mean."),

    .choice(
      "model.name", \.model.name,
      "The detector. xception-tiny is xception's topology, narrow and shallow, for smoke runs; the "
        + "others have the names and shapes of timm's, with one linear layer of two logits for a head. "
        + "The EfficientNets of several programs have the same layers and other paddings and norms: "
        + "take the one that model.weights come from. meso-inception4 takes data.crop 256 alone."),
    .optionalText(
      "model.weights", \.model.weights, files: true,
      "Weights to begin from, such as ImageNet's: a safetensors file, an index of several, a PyTorch "
        + "file, or a folder with one of them; null: He initialisation."),
    .optionalChoice(
      "model.classes", \.model.classes,
      "Which class comes first in model.weights; null: as they say themselves, or else real. What is "
        + "trained has real first in any case."),
    .optionalChoice(
      "model.head", \.model.head,
      "What the network ends in. linear, softmax: a linear layer over the average of the last map, a "
        + "logit for each of two classes; sigmoid: likewise, and the head of model.weights has one logit, "
        + "whose class 1 is the second of model.classes; patch: two logits at each position of the last "
        + "map, of which the loss is the mean (Chai et al. 2020); null: linear. A head of another size is "
        + "replaced by a fresh one."),
    .optionalText(
      "model.truncate", \.model.truncate,
      "The stage in which the network ends, such as block2 of xception, layer2 of resnet18, blocks.3 of "
        + "efficientnet-b4, features.23 of vgg16-bn or stages.1 of convnext-tiny; null: it is whole."
    ),
    .number(
      "model.dropout", \.model.dropout, 0...1.0.nextDown,
      "Share of the inputs of the head's linear layer that a training pass leaves out, drawn for each "
        + "image; what is left grows by as much. Attention and evaluation leave nothing out."),
    .number(
      "model.drop_path", \.model.dropPath, 0...1.0.nextDown,
      "Stochastic depth: how often a residual branch is left out of an image's training pass, where "
        + "what is left grows by as much; never the first, those after it ever more often, at the end of "
        + "the whole network as often as said, by timm's rates. For networks with residual "
        + "branches that may be left out: ResNet, EfficientNet, MobileNetV2, ConvNeXt."
    ),

    .choice(
      "augmentation.method", \.augmentation.method,
      "What is erased: "
        + ErasingMethods.all.map { "\($0.name), \($0.summary)" }.joined(separator: "; ") + "."),
    .number(
      "augmentation.probability", \.augmentation.probability, 0...1,
      "Probability that an image is erased."),
    .integer(
      "augmentation.ramp", \.augmentation.ramp.probability, 0...1_000_000_000,
      "Updates over which that probability rises evenly from near zero; 0: it is the same from the "
        + "first on."),
    .integer(
      "augmentation.size_ramp", \.augmentation.ramp.extent, 0...1_000_000_000,
      "Updates over which the most that is erased of an image grows likewise: for sfe the sides of the "
        + "largest block, for re the largest share from the smallest, for ae the share."),
    .integer(
      "augmentation.blocks", \.augmentation.blocks, 1...1000, "For sfe: blocks erased in an image."),
    .optionalInteger(
      "augmentation.max_height", \.augmentation.maxHeight, 1...4096,
      "For sfe: largest height of a block; null: 120 at crop 224, in proportion at others."),
    .optionalInteger(
      "augmentation.max_width", \.augmentation.maxWidth, 1...4096,
      "For sfe: largest width of a block; null: 120 at crop 224, in proportion at others."),
    .choice(
      "augmentation.fill", \.augmentation.fill,
      "What erased pixels become: uniform noise in [-1, 1], zero (both after normalisation), or "
        + "the image's channel mean."),
    .number(
      "augmentation.random_erasing.min_area", \.augmentation.randomErasing.minArea, positive...1,
      "For re: smallest erased share of the image."),
    .number(
      "augmentation.random_erasing.max_area", \.augmentation.randomErasing.maxArea, positive...1,
      "For re: largest erased share of the image."),
    .number(
      "augmentation.random_erasing.min_aspect", \.augmentation.randomErasing.minAspect,
      positive...1,
      "For re: aspect ratios lie between this and one over it."),
    .number(
      "augmentation.attention_erasing.fraction", \.augmentation.attentionErasing.fraction,
      positive...1, "For ae: share of the image's pixels that is erased."),
  ]

  /// Of every augmentation its probability, then the ranges of its parameters.
  private static let augmentationKeys: [ConfigurationKey] = Augmentations.all.flatMap {
    kind -> [ConfigurationKey] in
    let section = "augmentation.\(kind.name)"
    let probability = ConfigurationKey.number(
      "\(section).probability", \.imageAugmentation[kind.name].probability, 0...1,
      "Probability that an image is \(kind.summary).")
    return [probability]
      + kind.parameters.map { parameter in
        ConfigurationKey.range(
          "\(section).\(parameter.name)", \.imageAugmentation[kind.name][range: parameter.name],
          parameter.bounds, isWhole: parameter.isWhole,
          "Drawn evenly between: \(parameter.documentation).")
      }
  }

  /// How it is trained, and what is kept.
  private static let trainingKeys: [ConfigurationKey] = [
    .optionalInteger(
      "training.steps", \.training.steps, 1...1_000_000_000, effect: .harmless,
      excludes: \Configuration.training.epochs, "Updates in all."),
    .optionalInteger(
      "training.epochs", \.training.epochs, 1...1_000_000, effect: .harmless,
      excludes: \Configuration.training.steps,
      "Passes over the training data, instead of training.steps."),
    .integer(
      "training.batch_per_rank", \.training.batchPerRank, 1...65_536,
      "Images that a rank runs at a time."),
    .integer(
      "training.accumulate", \.training.accumulate, 1...65_536,
      "Batches of every rank whose gradients make one update."),
    .number(
      "training.flooding", \.training.flooding, 0...unbounded,
      "The level b of flooding, |loss - b| + b on the global mean loss; 0: none."),
    .number(
      "training.label_smoothing", \.training.labelSmoothing, 0...1.0.nextDown,
      "Share of the target that both classes have in equal parts, as PyTorch's label_smoothing; the loss "
        + "that is told and flooded has it."),
    .number(
      "training.clip_norm", \.training.clipNorm, 0...unbounded,
      "Largest norm of the mean gradients of all weights that are trained, which are scaled down to it, as "
        + "PyTorch's clip_grad_norm_; 0: none."),
    .number(
      "training.average", \.training.average, 0...1.0.nextDown,
      "Decay of an exponential moving average of weights and running statistics, such as 0.999, which is "
        + "validated and saved (average.safetensors) beside them; 0: none."),
    .optionalText(
      "training.freeze", \.training.freeze,
      "A stage, as in model.truncate, whose weights and those of all before it stay as they are; running "
        + "statistics of norms follow all the same; null: all weights are trained."),
    .choice(
      "training.batch_norm", \.training.batchNorm,
      "local: each rank normalises by its own batch; or synchronized: by the batches of all."),
    .choice(
      "training.non_finite", \.training.nonFinite, effect: .harmless,
      "Where a loss or gradient is infinite or no number: stop, and say on which rank and in which "
        + "layer; or skip the update, which stops after ten in a row."),
    .optionalInteger(
      "training.threads", \.training.threads, ThreadShare.range, effect: .harmless,
      "Threads of a rank; null: its share of the processors that it may use."),
    .choice("training.optimizer.name", \.training.optimizer.name, "The update rule."),
    .number(
      "training.optimizer.learning_rate", \.training.optimizer.learningRate, positive...unbounded,
      "Learning rate, before the schedule."),
    .number(
      "training.optimizer.weight_decay", \.training.optimizer.weightDecay, 0...unbounded,
      "Added to the gradient times the weight (adam, sgd), or taken off the weight directly "
        + "(adamw)."),
    .texts(
      "training.optimizer.stage_rates", \.training.optimizer.stageRates,
      "Multiples of the learning rate, a list such as [block3=0.1, block7=0.5] in forward order: for the "
        + "weights of a stage and of all before it down to the one named before."),
    .number(
      "training.optimizer.momentum", \.training.optimizer.momentum, 0...1.0.nextDown, "For sgd."),
    .boolean(
      "training.optimizer.nesterov", \.training.optimizer.nesterov,
      "For sgd: look ahead by the momentum."),
    .number(
      "training.optimizer.beta1", \.training.optimizer.beta1, 0...1.0.nextDown,
      "For adam and adamw: decay of the gradient's mean."),
    .number(
      "training.optimizer.beta2", \.training.optimizer.beta2, 0...1.0.nextDown,
      "For adam and adamw: decay of the gradient's mean square."),
    .number(
      "training.optimizer.epsilon", \.training.optimizer.epsilon, positive...1,
      "For adam and adamw: added to the root of the mean square."),
    .choice(
      "training.schedule.name", \.training.schedule.name,
      "How the learning rate goes on after the warm-up."),
    .integer(
      "training.schedule.warmup_steps", \.training.schedule.warmupSteps, 0...1_000_000_000,
      "Steps over which the learning rate rises evenly from near zero."),
    .number(
      "training.schedule.minimum", \.training.schedule.minimum, 0...unbounded,
      "For cosine: the learning rate at the end."),
    .integer(
      "training.schedule.every", \.training.schedule.every, 1...1_000_000_000,
      "For step: after every so many steps the learning rate is multiplied by the factor."),
    .number(
      "training.schedule.factor", \.training.schedule.factor, positive...1,
      "For step: see training.schedule.every."),
    .choice(
      "training.precision.attention", \.training.precision.attention,
      "Type of activations and matrix products in the attention pass."),
    .choice(
      "training.precision.training", \.training.precision.training,
      "Likewise in the update; weights, sums and statistics stay float32."),
    .choice(
      "training.multiply.float32", \.training.multiply.float32,
      "What multiplies float32 matrices: the library oneDNN or OpenBLAS; measured: what the run did so "
        + "far, or OpenBLAS if it is more than 5 % faster on rank 0 where the run begins."),
    .choice(
      "training.multiply.bfloat16", \.training.multiply.bfloat16,
      "What multiplies bfloat16 matrices: the processor's dot products with packed weights, oneDNN, or float32 "
        + "arithmetic on widened rows; measured: the fastest that every rank has, which a run keeps when it is "
        + "resumed."),

    .integer(
      "evaluation.every_steps", \.evaluation.everySteps, 0...1_000_000_000, effect: .harmless,
      "Steps between evaluations on the validation shards, which every checkpoint makes too; 0: never, "
        + "and the newest checkpoint is the best."),
    .integer(
      "evaluation.batch", \.evaluation.batch, 1...65_536, effect: .harmless,
      "Images that a rank evaluates at a time."),

    .integer(
      "evaluation.patience", \.evaluation.patience, 0...1_000_000, effect: .harmless,
      "Evaluations in a row none of which improves evaluation.metric, after which the training ends and "
        + "saves; 0: it goes on to its last step."),
    .choice(
      "evaluation.metric", \.evaluation.metric, effect: .harmless,
      "What evaluation.patience waits for: larger auc, ap or accuracy, or smaller eer or loss, of the "
        + "weights themselves."),

    .integer(
      "checkpoint.every_steps", \.checkpoint.everySteps, 1...1_000_000_000, effect: .harmless,
      "Steps between checkpoints; the last step always makes one."),
    .integer(
      "checkpoint.keep", \.checkpoint.keep, 1...1_000_000, effect: .harmless,
      "How many of the newest checkpoints are kept, besides the best."),

    .integer(
      "prototypes.images_per_method", \.prototypes.imagesPerMethod, 0...1_000_000,
      effect: .harmless,
      "Validation images of each method that its prototype is the mean of; 0: none are computed."),

    .number(
      "communication.bucket_megabytes", \.communication.bucketMegabytes, 0.001...1024,
      effect: .harmless,
      "Size of the pieces in which gradients are summed over ranks while the backward pass goes "
        + "on."),
    .choice(
      "communication.compression", \.communication.compression,
      "Type in which gradients travel between ranks; bfloat16 halves the traffic and rounds."),
    .boolean(
      "communication.host_memory", \.communication.hostMemory, effect: .harmless,
      "Ranks of a host add up gradients in memory that they share, and one of them exchanges the sums "
        + "with other hosts; false: every rank exchanges messages."),
    .integer(
      "communication.digest_every_steps", \.communication.digestEverySteps, 0...1_000_000_000,
      effect: .harmless,
      "Steps between comparisons of the ranks' weights, which must be equal; 0: never."),
    .number(
      "communication.watchdog_seconds", \.communication.watchdogSeconds, 0...1_000_000,
      effect: .harmless,
      "A rank that has waited so long for one that does nothing says which, and ends the job; 0: it "
        + "waits for ever."),
  ]

  package static let keysByPath = Dictionary(uniqueKeysWithValues: keys.map { ($0.path, $0) })

  /// Sections and subsections, in the order of ``keys``.
  static let sections: [String] = {
    var sections: [String] = []
    for key in keys {
      var section = ""
      for part in key.section.split(separator: ".") {
        section += (section.isEmpty ? "" : ".") + part
        if !sections.contains(section) { sections.append(section) }
      }
    }
    return sections
  }()
}
