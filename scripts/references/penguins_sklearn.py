"""The maximum likelihood of three Gaussians on the Palmer penguins by scikit-learn's EM, stored as test/data/penguins-sklearn.json.

Bill length and depth, standardised as in examples/mixture.ts, which reads the same file.

    pip install scikit-learn==1.9.1 numpy==2.4.6
    npm install --no-save vega-datasets@3.2.1
    python scripts/references/penguins_sklearn.py node_modules/vega-datasets/data/penguins.json > test/data/penguins-sklearn.json
"""
import json, platform, sys

import numpy as np
import sklearn
from sklearn.mixture import GaussianMixture

rows = [r for r in json.load(open(sys.argv[1])) if r["Beak Length (mm)"] is not None]
x = np.array([[r["Beak Length (mm)"], r["Beak Depth (mm)"]] for r in rows], float)
z = (x - x.mean(0)) / x.std(0)
# One start, from k-means: the likelihood is unbounded where a component shrinks onto one penguin, and random starts find that too.
fit = GaussianMixture(3, init_params="kmeans", tol=1e-13, max_iter=100000, reg_covar=0.0, random_state=0).fit(z)
order = np.argsort(fit.means_[:, 0])
print(
    json.dumps(
        {
            "made_by": "scripts/references/penguins_sklearn.py",
            "python": platform.python_version(),
            "scikit_learn": sklearn.__version__,
            "numpy": np.__version__,
            "points": len(z),
            "log_likelihood": float(fit.score(z) * len(z)),
            "weights": fit.weights_[order].tolist(),
            "means": fit.means_[order].tolist(),
            "covariances": fit.covariances_[order].tolist(),
        },
        indent=2,
    )
)
